"""`baton topology show`, `apply`, `check` and `permissions`: what RabbitMQ has, and should have.

In: the cards of a team or of the journal, and the management API. Out: tables, differences, changes.
"""

import contextlib
import os
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from baton.cli import exits, loading, opening
from baton.cli.options import JSON
from baton.cli.printing import counted, fields, heading, say, say_json, table
from baton.config import Settings
from baton.errors import ConfigError, NotFoundError
from baton.protocol.guards import Graph
from baton.topology import passwords, permissions
from baton.topology.address import address_of
from baton.topology.differences import Difference, Kind, differences
from baton.topology.management import Management, connected
from baton.topology.permissions import Rights, SeenUser, UserChange
from baton.topology.wanted import Wanted, policy_keys, wanted

_TEAM = Annotated[
    str | None, typer.Option("--team", metavar="TARGET", help="Take this team's cards; else the journal's.")
]
_PREFIX = Annotated[
    str,
    typer.Option(
        "--prefix", metavar="TEXT", help="Begins the users' names; users are the node's, so one for each environment."
    ),
]
_DONE = (Kind.MISSING, Kind.DIFFERENT)
"""What `apply` puts right."""
_SIGNS = {Kind.MISSING: "+", Kind.DIFFERENT: "~", Kind.OVERRULED: "!", Kind.EXTRA: "!"}


@dataclass(frozen=True, slots=True)
class _Compared:
    """A broker beside what it should be."""

    management: Management
    wanted: Wanted
    found: list[Difference]


def register(app: typer.Typer) -> None:
    """Add `topology` and its commands."""
    topology_app = typer.Typer(
        help="RabbitMQ's exchanges, queues, policy and users for a team.", no_args_is_help=True, rich_markup_mode=None
    )
    app.add_typer(topology_app, name="topology")
    exits.add(topology_app, "show", show)
    exits.add(topology_app, "apply", apply)
    exits.add(topology_app, "check", check)
    exits.add(topology_app, "permissions", permit)


async def show(team: _TEAM = None, json: JSON = False) -> int:
    """Show what should exist. Asks no broker."""
    settings = Settings.from_env(os.environ)
    needed = wanted(sorted((await _graph(team)).cards), consumer_timeout_s=settings.consumer_timeout_s)
    keys = policy_keys(settings.consumer_timeout_s)
    if json:
        say_json(needed)
        return exits.DONE
    heading("Exchanges")
    table(["exchange", "type", "durable"], [[exchange.name, "topic", "yes"] for exchange in needed.exchanges])
    heading("Queues")
    sources = {binding.target: (binding.exchange, binding.key) for binding in needed.bindings}
    rows = [[queue.name, "quorum", *sources[queue.name]] for queue in needed.queues]
    table(["queue", "type", "bound to", "key"], rows)
    heading(f"Policy {needed.policy.name!r}")
    fields({"pattern": needed.policy.pattern, "priority": str(needed.policy.priority)})
    rows = [[key.name, str(key.value), ".".join(map(str, key.since)), key.why] for key in keys]
    table(["key", "value", "from", "because"], rows)
    return exits.DONE


async def apply(
    team: _TEAM = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be done.")] = False,
    json: JSON = False,
) -> int:
    """Make what is missing, change what differs; deletes nothing. Again: does nothing."""
    async with _compared(team) as at:
        _refuse_the_unchangeable(at.found)
        for one in at.found:
            if one.kind in _DONE and not dry_run:
                await at.management.put(one.entity)
            if not json:
                say(f"{_SIGNS[one.kind]} {one}")
    if json:
        say_json({"dry_run": dry_run, "changes": _as_json(at.found)})
    elif not any(one.kind in _DONE for one in at.found):
        say(f"= nothing to do: {at.wanted.size} entities looked at")
    return exits.FAILED if any(one.kind is Kind.OVERRULED for one in at.found) else exits.DONE


async def check(team: _TEAM = None, json: JSON = False) -> int:
    """Name every difference between the broker and what should be; exit code 1 where there is one."""
    async with _compared(team) as at:
        pass
    if json:
        say_json({"well": not at.found, "differences": _as_json(at.found)})
    elif at.found:
        table(["state", "what"], [[one.kind.value, str(one)] for one in at.found])
        say(counted(len(at.found), "difference"))
    else:
        say(f"no drift: all {at.wanted.size} entities are as they should be")
    return exits.FAILED if at.found else exits.DONE


async def permit(
    team: _TEAM = None,
    apply: Annotated[bool, typer.Option("--apply", help="Make the users and set their rights.")] = False,
    directory: Annotated[
        Path | None,
        typer.Option("--passwords", metavar="DIR", help="A file for each user; made with a password if missing."),
    ] = None,
    prefix: _PREFIX = permissions.USER_PREFIX,
    json: JSON = False,
) -> int:
    """Show one user for each service with the least rights; with --apply, make them."""
    users = permissions.users(await _graph(team), prefix=prefix)
    if not apply:
        _show_users(users, as_json=json)
        return exits.DONE
    settings = Settings.from_env(os.environ)
    async with connected(address_of(settings.broker_url, settings.management_url)) as management:
        seen = await management.users()
        secrets = _secrets(directory, users, seen)
        new = frozenset(name for name, secret in secrets.items() if not _is_known(secret, seen.get(name)))
        changes = permissions.changes(users, seen, new_passwords=new)
        for change in changes:
            await _put(management, change, users[change.user], secrets, seen)
    strangers = permissions.strangers(users, seen, prefix=prefix)
    if json:
        say_json({"users": _users_json(users), "changes": changes, "strangers": strangers})
    else:
        _print_users(changes, strangers)
    return exits.DONE


@contextlib.asynccontextmanager
async def _compared(team: str | None) -> AsyncIterator[_Compared]:
    settings = Settings.from_env(os.environ)
    address = address_of(settings.broker_url, settings.management_url)
    graph = await _graph(team)
    async with connected(address) as management:
        version = await management.version()
        needed = wanted(sorted(graph.cards), consumer_timeout_s=settings.consumer_timeout_s, version=version)
        yield _Compared(management, needed, differences(needed, await management.seen()))


async def _graph(team: str | None) -> Graph:
    """Return the cards of a team, or of the journal.

    Raises:
        ConfigError: There are none.
    """
    if team is not None:
        found = loading.load_team(team)
        return Graph({card.name: card for card in found.cards()}, found.fallback)
    advice = "name a team with --team"
    try:
        async with opening.opened() as at:
            graph = await at.journal.registry()
            if not graph.cards:
                raise ConfigError(f"the {opening.shown(at.journal)} has no agents yet; {advice}")
            return graph
    except NotFoundError as error:
        raise ConfigError(f"{error}; or {advice}") from error


def _refuse_the_unchangeable(found: Iterable[Difference]) -> None:
    refused = [str(one) for one in found if one.kind is Kind.REFUSED]
    if refused:
        raise ConfigError([*refused, "nothing was changed"])


def _as_json(found: Iterable[Difference]) -> list[dict[str, Any]]:
    return [
        {
            "state": one.kind.value,
            "entity": type(one.entity).__name__.lower(),
            "name": str(one.entity).partition(" ")[2],
            "told": one.told,
        }
        for one in found
    ]


def _show_users(users: dict[str, Rights], *, as_json: bool) -> None:
    if as_json:
        say_json({"users": _users_json(users)})
        return
    table(["user", "configure", "write", "read"], [[name, *rights.plain] for name, rights in users.items()])
    heading("Keys of topic exchanges")
    rows = [
        [name, topic.exchange, topic.write, topic.read] for name, rights in users.items() for topic in rights.topics
    ]
    table(["user", "exchange", "write", "read"], rows)


def _users_json(users: dict[str, Rights]) -> list[dict[str, Any]]:
    return [
        {
            "user": name,
            "configure": rights.configure,
            "write": rights.write,
            "read": rights.read,
            "topics": rights.topics,
        }
        for name, rights in users.items()
    ]


def _secrets(directory: Path | None, users: Iterable[str], seen: dict[str, SeenUser]) -> dict[str, str]:
    """Return the passwords that are known; those of new users are made where they have no file.

    Raises:
        ConfigError: A new user has no password, or a file cannot be used.
    """
    found = {} if directory is None else passwords.read(directory, users)
    without = [name for name in users if name not in seen and name not in found]
    if without and directory is None:
        raise ConfigError(f"new users need passwords: {', '.join(without)}; say where they are kept: --passwords DIR")
    return found | {name: passwords.make(directory, name) for name in without if directory is not None}


def _is_known(secret: str, user: SeenUser | None) -> bool:
    return user is not None and passwords.is_known(secret, user)


async def _put(
    management: Management,
    change: UserChange,
    rights: Rights,
    secrets: dict[str, str],
    seen: dict[str, SeenUser],
) -> None:
    """Make one change. Keys go before rights: so no user ever has more than it should."""
    if change.is_new or change.sets_password or change.clears_tags:
        await management.put_user(change.user, password=secrets.get(change.user), seen=seen.get(change.user))
    for topic in change.topics:
        await management.put_topic(change.user, topic)
    if change.sets_rights:
        await management.put_rights(change.user, rights)


def _print_users(changes: Sequence[UserChange], strangers: Sequence[str]) -> None:
    for change in changes:
        if change.is_new:
            say(f"+ user {change.user}")
        elif change.told:
            say(f"~ user {change.user}: {'; '.join(change.told)}")
    for name in strangers:
        say(f"! user {name}: no service has this name and it may enter the vhost; rabbitmqctl delete_user {name}")
    if not any(change.is_new or change.told for change in changes):
        say(f"= nothing to do: {counted(len(changes), 'user')} looked at")
