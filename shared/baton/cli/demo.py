"""`baton demo`: the shipped desk at work, in one process, with nothing to install or start.

In: the desk's own requests, or a file of yours. Out: each request with its route, trail and reply,
and a summary.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

import typer

from baton import ids
from baton.cli import account, demo_file, demo_report, exits, opening
from baton.cli.demo_report import Shown
from baton.cli.options import JSON
from baton.cli.printing import counted, one_line, say, say_json, tell
from baton.cli.progress import progress
from baton.client import Client, Run
from baton.service import Service, serving
from baton.team import Team

if TYPE_CHECKING:
    from services.demo import DemoRequest, Operation

OPERATOR = "scripted operator"
"""Who answers the demo's waits, as the trail names it."""
_RUN_S = 60.0
"""Longest wait for one run, in seconds."""
_REQUESTS = Annotated[
    str | None,
    typer.Option("--requests", metavar="FILE", help="Requests of yours: JSON objects with `text`, one a line."),
]
_LABELS = Annotated[
    str | None,
    typer.Option(
        "--labels", metavar="FILE", help='{"intents": {intent: agent}}: tells right from wrong by a line\'s `intent`.'
    ),
]


def register(app: typer.Typer) -> None:
    """Add `demo` to the commands."""
    exits.add(app, "demo", demo)


async def demo(requests: _REQUESTS = None, labels: _LABELS = None, json: JSON = False) -> int:
    """Run the shipped bank desk on its own requests, or on a file of yours.

    Needs no broker, database or key. A scripted operator, named as such, answers what the desk's own
    requests wait for; requests from a file are left waiting. With --json, `text` is the reply and
    `request` the request's text.
    """
    settings = opening.settings_to_serve()
    desk = _desk()
    from services.demo import DEFAULT_FACTS, prepare

    if requests is None:
        async with serving(desk, settings) as service:
            # Only who holds the journal may put the bank's records back.
            await asyncio.to_thread(prepare)
            return await _own(service, desk, as_json=json)
    asked, bad = demo_file.read_requests(requests, facts=DEFAULT_FACTS, labels=demo_file.read_labels(labels))
    for line in bad:
        tell(one_line(str(line)))
    async with serving(desk, settings) as service:
        return await _from_file(service, desk, asked, bad_lines=len(bad), as_json=json)


def _desk() -> Team:
    from services.team import desk

    return desk


async def _own(service: Service, desk: Team, *, as_json: bool) -> int:
    from services.demo import REQUESTS

    batch, began = ids.new_id(), time.perf_counter()
    if not as_json:
        say(f"The bank desk in one process: router, {', '.join(desk.agents)}.")
        say(f"Waits are answered by a {OPERATOR}.")
    shown: list[Shown] = []
    with progress("demo", len(REQUESTS), prints_lines=True) as advance:
        for request in REQUESTS:
            shown.append(await _one(service.client, request, batch))
            _show(len(shown), shown[-1], as_json=as_json)
            advance()
    _finish(shown, desk, batch=batch, took_s=time.perf_counter() - began, as_json=as_json)
    strange = [one for one in shown if not one.is_as_expected]
    for one in strange:
        expected = " → ".join(one.expected or ())
        tell(f"not as expected: {one.shows}: {one.account.run.status}, {one.account.trail}; expected {expected}")
    return exits.FAILED if strange else exits.DONE


async def _one(client: Client, request: "DemoRequest", batch: str) -> Shown:
    """Send one of the desk's own requests, and answer what it waits for."""
    conversation = f"{request.conversation} ({batch})" if request.conversation else None
    run = await client.send(request.text, facts=request.facts, conversation_id=conversation, batch=batch)
    result = await run.result(timeout_s=_RUN_S)
    for operation in request.operator:
        if result.status == "waiting":
            await _operate(run, operation)
            result = await run.result(timeout_s=_RUN_S)
    view = await client.journal.run(run.run_id)
    return Shown(await account.read(client.journal, view, whole=True), request.shows, request.trail)


async def _operate(run: Run, operation: "Operation") -> None:
    """Answer a wait as the script says."""
    if operation.does in ("approve", "reject"):
        await run.reply(decision=operation.does, reason=operation.text, by=OPERATOR)
    else:
        await run.reply(operation.text, by=OPERATOR)


async def _from_file(
    service: Service, desk: Team, asked: list[demo_file.Asked], *, bad_lines: int, as_json: bool
) -> int:
    batch, began = ids.new_id(), time.perf_counter()
    shown: list[Shown] = []
    with progress("demo", len(asked), prints_lines=True) as advance:
        runs = demo_file.run_all(service.client, asked, batch=batch, timeout_s=_RUN_S, advance=advance)
        async with aclosing(runs):
            async for one in runs:
                shown.append(one)
                _show(len(shown), one, as_json=as_json)
    _finish(shown, desk, batch=batch, took_s=time.perf_counter() - began, as_json=as_json, bad_lines=bad_lines)
    if bad_lines:
        tell(f"{counted(bad_lines, 'line')} could not be sent, see above")
        return exits.BAD_USAGE
    return exits.DONE if all(one.is_as_expected for one in shown) else exits.FAILED


def _show(number: int, one: Shown, *, as_json: bool) -> None:
    if as_json:
        say_json({"type": "run", **one.account.as_json()})
    else:
        demo_report.show_run(number, one)


def _finish(
    shown: Sequence[Shown], desk: Team, *, batch: str, took_s: float, as_json: bool, bad_lines: int = 0
) -> None:
    handled = {(agent.name, skill) for agent in desk.agents.values() for skill in agent.handlers}
    found = demo_report.totals(shown, batch=batch, handled=handled, took_s=took_s, bad_lines=bad_lines)
    if as_json:
        say_json(found.as_json())
    else:
        demo_report.show_totals(found, shown)
