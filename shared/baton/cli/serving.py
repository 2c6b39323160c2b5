"""`baton run`: router and agents in one process, until told to stop.

In: targets. Out: a served team; with `--send`, one request, its trail and its timeline.
"""

import asyncio
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import typer

from baton.agent import ROUTER, Agent
from baton.cli import account, exits, loading, opening, run_page, values
from baton.cli.options import FACTS, JSON, TIMEOUT, TIMEOUT_S, TO
from baton.cli.printing import say, say_json, tell
from baton.config import Settings, masked
from baton.errors import ConfigError
from baton.service import Service, serving
from baton.team import Part, Team

TARGETS = Annotated[
    list[str],
    typer.Argument(
        metavar="TARGET…", help="module[:attr], file.py[:attr] or router; a bare module means its only Team."
    ),
]
SEND = Annotated[str | None, typer.Option("--send", metavar="TEXT", help="Send one request, show it, and exit.")]


def register(app: typer.Typer) -> None:
    """Add `run` to the commands."""
    exits.add(app, "run", run)


async def run(
    targets: TARGETS,
    send: SEND = None,
    facts: FACTS = None,
    to: TO = None,
    timeout_s: TIMEOUT = TIMEOUT_S,
    json: JSON = False,
) -> int:
    """Serve a team: its router and all its agents, in this process; or a part of it.

    Agents and `router` in processes of their own need BATON_BROKER_URL=amqp://… and
    BATON_JOURNAL_URL=postgresql://… between them. Ends on SIGTERM or Ctrl-C, once running hops are done; a
    second signal leaves at once, and whoever serves next goes on where this one stopped. One process
    serves an embedded journal.
    """
    settings = opening.settings_to_serve()
    part = the_part(targets)
    if send is None:
        return await _until_stopped(part, settings)
    _check_whole(part, targets)
    async with serving(part, settings) as service:
        sent = await service.client.send(send, facts=values.facts_of(facts or ()), to=to)
        result = await sent.result(timeout_s=timeout_s)
        await _show(service, sent.run_id, as_json=json)
    return exits.code_for(result)


def _check_whole(part: Part, targets: Sequence[str]) -> None:
    if not part.is_whole:
        raise ConfigError(f"--send needs the whole team in this process; {', '.join(targets)} is a part of one")


def the_part(targets: Sequence[str]) -> Part:
    """Return what the targets make: a whole team, some agents of one, the router, or these together.

    Raises:
        TargetError: A target cannot be loaded.
        ConfigError: The targets are of several teams.
    """
    loaded = {target: loading.load(target) for target in targets}
    agents = {target: one for target, one in loaded.items() if isinstance(one, Agent)}
    given = [one for one in loaded.values() if isinstance(one, Team)]
    teams = {team.name: team for team in (*given, *map(loading.team_of, agents, agents.values())) if team is not None}
    if len(teams) > 1:
        raise ConfigError(f"{', '.join(targets)} are {len(teams)} teams ({', '.join(teams)}); one process serves one")
    team = next(iter(teams.values()), None)
    if given and team is not None:
        if strange := [target for target, agent in agents.items() if agent not in team.agents.values()]:
            raise ConfigError(f"{', '.join(strange)} is no agent of team {team.name!r}, which is served whole here")
        return team.whole()
    part = team.part(*(agent.name for agent in agents.values())) if team else Part.alone(*agents.values())
    return replace(part, has_router=ROUTER in loaded.values())


async def _until_stopped(part: Part, settings: Settings) -> int:
    stopping = asyncio.Event()

    def on_signal(number: int) -> None:
        if stopping.is_set():
            # The journal has all that was done; what was not is resumed at the next start.
            os._exit(128 + number)
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    async with serving(part, settings):
        whose = f"{part.team} " if part.team else ""
        where = masked(settings.journal_url)
        say(f"serving {whose}({', '.join(part.names)}) from {where} as process {os.getpid()}; Ctrl-C stops")
        await stopping.wait()
        tell(f"stopping: running hops get up to {settings.grace_s:g} s; a second signal leaves at once")
    return exits.DONE


async def _show(service: Service, run_id: str, *, as_json: bool) -> None:
    journal = service.journal
    seen = await account.read(journal, await journal.run(run_id), whole=True)
    if as_json:
        say_json(run_page.as_json(seen))
        return
    run_page.summary(seen)
    run_page.show_trail(seen)
    run_page.show_timeline(seen)
