"""`baton demo --requests FILE`: anybody's requests against the shipped desk.

In: a file of JSON lines with `text`. Out: a run for each line, in the order of the lines; waits are
left waiting.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from baton import codec
from baton.cli import account, flow, jsonl
from baton.cli.demo_report import Shown
from baton.cli.jsonl import BadLine, Line
from baton.client import Client
from baton.errors import RequestError
from baton.request import Request

_TAKEN = ("text", "facts", "conversation_id", "to")
"""What is taken of a line; everything else in it is somebody's label."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of the file."""

    number: int
    request: Request
    label: str | None


def read_requests(
    path: str, *, facts: Mapping[str, Any], labels: Mapping[str, str]
) -> tuple[list[Asked], list[BadLine]]:
    """Return the requests of a file, and the lines that are none.

    Args:
        path: The file, or `-`.
        facts: For lines without facts.
        labels: Agent by intent.

    Raises:
        RequestError: The file cannot be read.
    """
    asked: list[Asked] = []
    bad: list[BadLine] = []
    for found in jsonl.read(path):
        try:
            if isinstance(found, Line):
                asked.append(_asked(found, facts, labels))
            else:
                bad.append(found)
        except RequestError as error:
            bad.append(BadLine(found.number, str(error)))
    return asked, bad


def read_labels(path: str | None) -> dict[str, str]:
    """Return which agent each intent belongs to: `{"intents": {intent: agent}}`.

    Raises:
        RequestError: The file cannot be read, or is not of that form.
    """
    if path is None:
        return {}
    try:
        found = codec.decode(jsonl.read_text(path))
    except ValueError as error:
        raise RequestError(f"{path!r} is no JSON: {error}", code="bad_file") from error
    intents = found.get("intents") if isinstance(found, dict) else None
    if not isinstance(intents, dict) or not all(isinstance(agent, str) for agent in intents.values()):
        raise RequestError(f'{path!r} is no {{"intents": {{intent: agent}}}}', code="bad_file")
    return intents


async def run_all(
    client: Client, asked: list[Asked], *, batch: str, timeout_s: float, advance: Callable[[], None]
) -> AsyncGenerator[Shown, None]:
    """Send all requests, some of them at a time, and yield each run once it stands still.

    Args:
        client: Of the serving process.
        asked: The requests.
        batch: The batch id.
        timeout_s: Seconds to wait for one run.
        advance: Called for each run that is yielded.

    Raises:
        ResultTimeoutError: A run did not end in time.
    """

    async def work(one: Asked) -> Shown:
        run = await client.send(batch=batch, **one.request.model_dump(exclude_none=True))
        await run.result(timeout_s=timeout_s)
        view = await client.journal.run(run.run_id)
        return Shown(await account.read(client.journal, view, whole=True), label=one.label)

    async with aclosing(flow.in_order(asked, work, lane=lambda one: one.request.conversation_id)) as runs:
        async for shown in runs:
            advance()
            yield shown


def _asked(line: Line, facts: Mapping[str, Any], labels: Mapping[str, str]) -> Asked:
    given = {name: line.fields[name] for name in _TAKEN if line.fields.get(name) is not None}
    request = Request.of({"facts": dict(facts), **given})
    intent = line.fields.get("intent")
    return Asked(line.number, request, labels.get(intent) if isinstance(intent, str) else None)
