"""`baton run`: router and agents in one process, until told to stop.

In: targets. Out: a served team; with `--send`, one request, its trail and its timeline.
"""

import asyncio
import os
import signal
from collections.abc import Sequence
from typing import Annotated

import typer

from baton.agent import ROUTER
from baton.cli import account, exits, loading, opening, run_page, values
from baton.cli.options import FACTS, JSON, TIMEOUT, TIMEOUT_S, TO
from baton.cli.printing import say, say_json, tell
from baton.config import Settings
from baton.errors import ConfigError
from baton.service import Service, serving
from baton.team import Team

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
    """Serve a team: its router and all its agents, in this process.

    Ends on SIGTERM or Ctrl-C, once running hops are done; a second signal leaves at once, and the
    next start goes on where this one stopped. One process serves an embedded journal.
    """
    settings = opening.settings_to_serve()
    team = whole_team(targets, settings)
    if send is None:
        return await _until_stopped(team, settings)
    async with serving(team, settings) as service:
        sent = await service.client.send(send, facts=values.facts_of(facts or ()), to=to)
        result = await sent.result(timeout_s=timeout_s)
        await _show(service, sent.run_id, as_json=json)
    return exits.code_for(result)


def whole_team(targets: Sequence[str], settings: Settings) -> Team:
    """Return the one team that the targets make.

    Raises:
        TargetError: A target cannot be loaded.
        ConfigError: The targets are a part of a team, or several teams.
    """
    loaded = {target: loading.load(target) for target in targets}
    teams = {id(one): one for one in loaded.values() if isinstance(one, Team)}
    if len(teams) > 1:
        raise ConfigError(f"{', '.join(targets)} are {len(teams)} teams; one process serves one team")
    team = next(iter(teams.values()), None)
    strays = [name for name, one in loaded.items() if one != ROUTER and one is not team and not _is_of(one, team)]
    if team is None or strays:
        part = strays[0] if strays else targets[0]
        raise ConfigError(
            f"{part} is a part of a team; parts in processes of their own need a broker between them, and "
            f"BATON_BROKER_URL is {settings.broker_url.partition('://')[0]}:// (this build has memory:// only); run "
            "the whole team, as file.py:team"
        )
    return team


def _is_of(one: object, team: Team | None) -> bool:
    return team is not None and any(agent is one for agent in team.agents.values())


async def _until_stopped(team: Team, settings: Settings) -> int:
    stopping = asyncio.Event()

    def on_signal(number: int) -> None:
        if stopping.is_set():
            # The journal has all that was done; what was not is resumed at the next start.
            os._exit(128 + number)
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    async with serving(team, settings):
        agents = ", ".join(["router", *team.agents])
        say(f"serving {team.name} ({agents}) from {settings.journal_url} as process {os.getpid()}; Ctrl-C stops")
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
