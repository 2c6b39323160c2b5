"""`baton send`, `reply` and `cancel` where only the broker can be reached: no journal is opened.

In: texts, files of requests, answers. Out: what comes back on this command's own queue, and an exit code.
"""

import contextlib
import os
import re
from collections.abc import AsyncIterator

from baton.cli import exits, printing
from baton.cli.jsonl import Line
from baton.cli.printing import say, say_json
from baton.cli.sending_files import Defaults, Sent, send_lines
from baton.config import Settings
from baton.errors import BrokerUnavailableError, NobodyServesError, RequestError, ResultTimeoutError
from baton.remote import RemoteClient, RemoteRun
from baton.request import Result

WHOLE_ID = re.compile(r"[0-9a-f]{32}")
CANCEL_S = 2.0
"""How long a cancel waits for the run to end, in seconds."""


def is_wanted() -> bool:
    """Return True where requests go through a broker that other processes reach, too.

    Raises:
        ConfigError: The settings are wrong.
    """
    return not Settings.from_env(os.environ).is_embedded


def takes(run: str) -> bool:
    """Return True where a command about a run goes through the broker: without a journal, only by its whole id."""
    return WHOLE_ID.fullmatch(run) is not None and is_wanted()


@contextlib.asynccontextmanager
async def _opened() -> AsyncIterator[RemoteClient]:
    """Connect to the broker that the settings name.

    Raises:
        NobodyServesError: It cannot be reached, or gives no word.
        ConfigError: It refuses this user or vhost, or has no queue for requests.
    """
    try:
        async with RemoteClient.opened(Settings.from_env(os.environ)) as client:
            yield client
    except BrokerUnavailableError as error:
        raise NobodyServesError(str(error)) from None


async def send(text: str, defaults: Defaults, *, key: str | None, timeout_s: float | None, as_json: bool) -> int:
    """Send a request; return the exit code.

    Args:
        text: What is wanted.
        defaults: Its other fields.
        key: Its idempotency key, if the user chose one.
        timeout_s: Seconds to wait for the result; None: only publish.
        as_json: True: the result as JSON.
    """
    async with _opened() as client:
        run = await client.send(text, idempotency_key=key, **defaults.request())
        if timeout_s is None:
            return _published(run, as_json=as_json)
        return show(await run.result(timeout_s=timeout_s), as_json=as_json)


async def send_file(path: str, defaults: Defaults, *, timeout_s: float | None, as_json: bool) -> int:
    """Send the requests of a file; return the exit code. See `send` and `sending_files.send_file`."""
    async with _opened() as client:

        async def send_line(line: Line) -> Sent:
            run_id = None
            try:
                run = await client.send(**line.fields)
                if timeout_s is None:
                    return Sent(line.number, run.key, None)
                result = await run.result(timeout_s=timeout_s)
                run_id = result.run_id
            except (RequestError, ResultTimeoutError) as error:
                return Sent(line.number, run_id, None, error)
            return Sent(line.number, run_id, result)

        return await send_lines(path, defaults, send_line, as_json=as_json)


async def reply(run_id: str, text: str, *, timeout_s: float | None, as_json: bool) -> int:
    """Answer what a run waits for; return the exit code.

    Args:
        run_id: The run's whole id.
        text: The answer.
        timeout_s: Seconds to wait for what comes of it; None: only publish.
        as_json: True: the result as JSON.
    """
    async with _opened() as client:
        run = await client.reply(run_id, text)
        if timeout_s is None:
            return _published(run, as_json=as_json)
        return show(await run.result(timeout_s=timeout_s), as_json=as_json)


async def cancel(run_id: str, *, reason: str) -> str | None:
    """Publish the wish to end a run; return how it ended, None if it has not yet."""
    async with _opened() as client:
        run = await client.cancel(run_id, reason=reason)
        with contextlib.suppress(ResultTimeoutError):
            return (await run.result(timeout_s=CANCEL_S, through_waits=True)).status
    return None


def show(result: Result, *, as_json: bool) -> int:
    """Print how a run stands, as far as its requester is told; return the exit code."""
    if as_json:
        say_json(result)
        return exits.code_for(result)
    by = "by" if result.status == "completed" else "at"
    asked = result.question
    printing.fields(
        {
            "run": result.run_id,
            "status": f"{result.status} {by} {result.agent}" if result.agent else result.status,
            "trail": " → ".join(result.trail),
            "answer": result.text,
            "error": f"{result.error.code}: {result.error.message}" if result.error else None,
            "waits for": "its user" if asked else None,
            "question": asked.question if asked else None,
            "options": printing.listed(asked.options) if asked and asked.options else None,
            "answer with": f"baton reply {result.run_id} TEXT" if asked else None,
        }
    )
    return exits.code_for(result)


def _published(run: RemoteRun, *, as_json: bool) -> int:
    """Tell what a message was published under: under the same key, it can be asked for its result."""
    if as_json:
        say_json({"key": run.key, "run_id": run.run_id})
    else:
        say(run.key)
    return exits.DONE
