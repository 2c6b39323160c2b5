"""`baton runs`, `show`, `watch` and `agents`: what the journal says.

In: filters and run ids. Out: tables and pages; with `--json`, one object a line.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated, Any, get_args

import typer

from baton.cli import account, exits, opening, printing, run_page, timeline, values
from baton.cli.options import JSON, RUN
from baton.cli.printing import say, say_json, seconds, table
from baton.errors import ResultTimeoutError
from baton.journal.views import AgentView, RunFilter, RunView
from baton.request import ENDED, Result, RunStatus

ALL = 1_000_000
"""Limit that means all of a batch."""
_SHOWN = 50


def _status(text: str) -> str:
    if text not in get_args(RunStatus):
        raise typer.BadParameter(f"{text!r} is no status; allowed are {', '.join(get_args(RunStatus))}")
    return text


def register(app: typer.Typer) -> None:
    """Add `runs`, `show`, `watch` and `agents` to the commands."""
    exits.add(app, "runs", runs)
    exits.add(app, "show", show)
    exits.add(app, "watch", watch)
    exits.add(app, "agents", agents)


async def runs(
    waiting: Annotated[
        bool, typer.Option("--waiting", help="Those that wait for somebody, with the question.")
    ] = False,
    batch: Annotated[str | None, typer.Option("--batch", metavar="ID", help="Those of a demo or of a file.")] = None,
    status: Annotated[
        str | None, typer.Option("--status", parser=_status, metavar="STATUS", help="One status.")
    ] = None,
    agent: Annotated[str | None, typer.Option("--agent", metavar="NAME", help="Where they stand or ended.")] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="The newest N; 50, or all of a batch.")
    ] = None,
    json: JSON = False,
) -> int:
    """List runs, the newest last."""
    wanted = RunFilter.model_validate(
        {
            "status": "waiting" if waiting else status,
            "agent": agent,
            "batch": batch,
            "limit": limit or (ALL if batch else _SHOWN),
        }
    )
    async with opening.opened() as at:
        found = await at.journal.runs(wanted)
        for run in found if json else ():
            say_json((await account.read(at.journal, run)).as_json())
        if not json and waiting:
            _waiting_table(found, [await at.journal.result(run.run_id) for run in found])
        elif not json:
            _table(found)
    return exits.DONE


async def show(run: RUN, json: JSON = False) -> int:
    """Show one run: trail, hops, handoffs, messages, facts, steps, waits and timeline."""
    async with opening.opened() as at:
        seen = await account.read(at.journal, await at.journal.run(run), whole=True)
    if json:
        say_json(run_page.as_json(seen))
    else:
        run_page.show(seen)
    return exits.DONE


async def watch(
    run: RUN,
    timeout_s: Annotated[
        float | None,
        typer.Option(
            "--timeout", parser=values.duration_s, metavar="DURATION", help="When to give up; never if not given."
        ),
    ] = None,
    json: JSON = False,
) -> int:
    """Print a run's events as they come, until it ends."""
    async with opening.opened() as at:
        seen = await at.journal.run(run)
        if not at.is_served and seen.status not in ENDED:
            printing.tell(f"nobody serves the {opening.shown(at.journal)} now: the run goes on when somebody does")
        await _follow(at, seen, timeout_s=timeout_s, as_json=json)
        result = await at.journal.result(seen.run_id)
    return exits.code_for(result)


async def agents(json: JSON = False) -> int:
    """List the registered agents, their live replicas, and what stands before each of them."""
    async with opening.opened() as at:
        found = await at.journal.agents()
    for agent in found if json else ():
        say_json(agent)
    if not json:
        _agents_table(found)
    return exits.DONE


async def _follow(at: opening.Opened, run: RunView, *, timeout_s: float | None, as_json: bool) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            async for event in at.client.events(run.run_id):
                if as_json:
                    say_json(event)
                else:
                    say(timeline.line(event, since=run.accepted_at))
    except TimeoutError as error:
        raise ResultTimeoutError(run.run_id, timeout_s or 0.0) from error


def _table(found: Sequence[RunView]) -> None:
    now = time.time()
    rows = [
        [run.run_id, run.status, run.agent or "", _ago(run.accepted_at, now), _took(run), run.text] for run in found
    ]
    _or_none(["run", "status", "agent", "accepted", "took", "request"], rows, right={"accepted", "took"})


def _waiting_table(found: Sequence[RunView], results: Sequence[Result]) -> None:
    now = time.time()
    rows = [
        [
            run.run_id,
            asks.kind,
            run.agent or "",
            _ago(run.accepted_at, now),
            _left(asks.deadline_at, now),
            asks.question,
        ]
        for run, result in zip(found, results, strict=True)
        if (asks := result.question) is not None
    ]
    _or_none(["run", "for", "agent", "accepted", "until", "question"], rows, right={"accepted", "until"})


def _agents_table(found: Sequence[AgentView]) -> None:
    now, is_told = time.time(), any(agent.seen_at for agent in found)  # embedded, no process tells that it serves
    rows = [
        [
            agent.name,
            agent.version,
            "yes" if agent.entry else "no",
            str(agent.skills),
            str(agent.replicas) if is_told else "-",
            "-" if agent.seen_at is None else _ago(agent.seen_at, now),
            *(str(number) for number in (agent.pending, agent.running, agent.waiting)),
            printing.listed(agent.targets, none="-"),
            agent.description,
        ]
        for agent in found
    ]
    numbers = ["skills", "replicas", "seen", "pending", "running", "waiting"]
    _or_none(["agent", "version", "entry", *numbers, "hands off to", "area"], rows, right=set(numbers))


def _or_none(columns: Sequence[str], rows: Sequence[Sequence[str]], **options: Any) -> None:
    if rows:
        table(columns, rows, **options)
    else:
        printing.tell("none")


def _took(run: RunView) -> str:
    return "" if run.ended_at is None else seconds(run.ended_at - run.accepted_at)


def _ago(at: float, now: float) -> str:
    return f"{seconds(round(max(now - at, 1)))} ago".replace(".00", "")


def _left(deadline_at: float | None, now: float) -> str:
    return "" if deadline_at is None else f"in {seconds(deadline_at - now)}"
