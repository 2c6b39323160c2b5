"""How a command ends: its exit code, and errors as one paragraph instead of a traceback.

In: the body of a command, a coroutine function. Out: a Typer command.
"""

import asyncio
import contextlib
import functools
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

import typer

from baton.cli import printing
from baton.errors import BatonError, NobodyServesError, ResultTimeoutError
from baton.request import Result

DONE = 0
FAILED = 1
"""The run failed or was cancelled."""
BAD_USAGE = 2
"""Bad usage, configuration or request."""
NO_RESULT = 3
"""Timed out, or nobody serves."""
INTERRUPTED = 130
"""Ctrl-C, as shells count it."""
PIPE_CLOSED = 141
"""The reader of standard output went away, as shells count it."""

P = ParamSpec("P")


def add(app: typer.Typer, name: str, body: Callable[P, Coroutine[Any, Any, int]]) -> None:
    """Add a command that runs a coroutine function and exits with what it returns.

    Args:
        app: Where to.
        name: The command's name.
        body: Its parameters are the command's, its docstring is the command's help.
    """

    @functools.wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        raise typer.Exit(guarded(lambda: asyncio.run(body(*args, **kwargs))))

    app.command(name)(run)


def guarded(body: Callable[[], int]) -> int:
    """Return the exit code of `body`, with errors told on standard error."""
    try:
        return body()
    except BatonError as error:
        with contextlib.suppress(BrokenPipeError):
            printing.tell(told(error))
        return code_of(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        drop_output()
        return PIPE_CLOSED


def told(error: BatonError) -> str:
    """Return an error as it is printed: a line, or one for each problem."""
    problems = [printing.clean(line) for line in str(error).splitlines()] or [type(error).__name__]
    return "\n".join(f"{'error:' if number == 0 else '      '} {line}" for number, line in enumerate(problems))


def code_of(error: BatonError) -> int:
    """Return the exit code for an error."""
    return NO_RESULT if isinstance(error, ResultTimeoutError | NobodyServesError) else BAD_USAGE


def code_for(result: Result) -> int:
    """Return the exit code for how a run stands; one that waits for somebody has not failed."""
    return FAILED if result.status in ("failed", "cancelled") else DONE


def drop_output() -> None:
    """Let nothing more be written to a pipe that nobody reads, not even at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
