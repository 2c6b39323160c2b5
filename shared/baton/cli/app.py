"""The command `baton`: every command, put together.

In: `sys.argv`. Out: an exit code: 0 done, 1 the run failed, 2 bad usage or configuration, 3 timed out
or nobody serves.
"""

import contextlib
import io
import os
import sys

import typer

from baton.cli import (
    bench,
    dead,
    demo,
    eval_app,
    exits,
    journal,
    keeping,
    reading,
    routing,
    sending,
    serving,
    topology,
    tracing,
)

app = typer.Typer(
    name="baton",
    help=(
        "Durable handoffs between agents: serve a team, send it requests, and see every step.\n\n"
        "Exit codes: 0 done (or waiting for somebody), 1 the run failed, 2 bad usage or configuration, "
        "3 timed out or nobody serves. Settings are BATON_ variables: see `baton config`."
    ),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for part in (demo, serving, sending, reading, tracing, routing, eval_app, dead, journal, keeping, topology, bench):
    part.register(app)


def main() -> None:
    """Run the command line and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What a locale cannot show is spelled out; in JSON that is the same string.
            stream.reconfigure(errors="backslashreplace")
    # Two threads of the algebra library take several times the time of one for matrices as small as a desk's.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    code: str | int | None = exits.DONE
    try:
        app(prog_name="baton")
    except SystemExit as ending:
        code = ending.code
    except KeyboardInterrupt:
        code = exits.INTERRUPTED
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        exits.drop_output()
        code = exits.PIPE_CLOSED
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.flush()
    sys.exit(code)


if __name__ == "__main__":
    main()
