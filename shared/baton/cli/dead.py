"""`baton dead list`, `show`, `redrive` and `discard`: failed runs, and messages that nothing could be made of.

In: ids, or a failure's code. Out: the list; a new run for each that is redriven; a shorter list.
"""

import base64
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from baton import codec, ingress
from baton.broker.contract import Broker
from baton.cli import account, exits, opening, run_page
from baton.cli.opening import Opened
from baton.cli.options import JSON
from baton.cli.printing import clean, fields, heading, moment, one_line, say, say_json, table, tell
from baton.cli.progress import progress
from baton.cli.sending import BY, login
from baton.client import Client
from baton.errors import BatonError, BrokerUnavailableError, NotFoundError, RequestError
from baton.hop.publishing import publish
from baton.journal.views import DeadFilter, RunFilter
from baton.protocol import redriving
from baton.urls import open_broker

ALL = 1_000_000
"""Limit that means all of them."""
_SHOWN = 50

_ID = Annotated[str, typer.Argument(metavar="ID", help="A run id or a unique beginning, or a message as q12.")]
_IDS = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]…", help="Run ids or unique beginnings, or messages as q12.")
]
_REASON = Annotated[
    str | None,
    typer.Option("--reason", metavar="CODE", help="Those that failed so: max_attempts, …; quarantine for messages."),
]
_ALL = Annotated[bool, typer.Option("--all", help="All that are listed.")]
_DRY_RUN = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
_LIMIT = Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="The newest N of them at most.")]


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which of the dead."""

    ids: Sequence[str] | None
    reason: str | None
    takes_all: bool
    limit: int | None


@dataclass(frozen=True, slots=True)
class _Deed:
    """What is done to each of those chosen."""

    done: str
    """What it is in a word, once it is done."""
    do: Callable[[str], Awaitable[str | None]]
    """Does it to an id; returns the run that came of it, if any did."""
    check: Callable[[str], Awaitable[None]]
    """Raises what `do` would."""


def register(app: typer.Typer) -> None:
    """Add `dead` and its commands."""
    dead_app = typer.Typer(
        help="Failed runs, and messages that nothing could be made of.", no_args_is_help=True, rich_markup_mode=None
    )
    app.add_typer(dead_app, name="dead")
    exits.add(dead_app, "list", listing)
    exits.add(dead_app, "show", show)
    exits.add(dead_app, "redrive", redrive)
    exits.add(dead_app, "discard", discard)


async def listing(reason: _REASON = None, limit: _LIMIT = None, json: JSON = False) -> int:
    """List failed runs that nobody has redriven or discarded, and messages in quarantine, the newest last."""
    async with opening.opened() as at:
        found = await at.journal.dead(DeadFilter(reason=reason, limit=limit or _SHOWN))
    for view in found if json else ():
        say_json(view)
    if not json and found:
        rows = [[view.id, view.reason, view.agent or "", moment(view.at), view.message] for view in found]
        table(["id", "reason", "at", "died", "because"], rows)
    elif not json:
        tell("none")
    return exits.DONE


async def show(dead_id: _ID, json: JSON = False) -> int:
    """Show a run as `baton show` does, or a message as it came."""
    async with opening.opened() as at:
        if redriving.is_message(dead_id):
            await _show_message(at, dead_id, as_json=json)
            return exits.DONE
        seen = await account.read(at.journal, await at.journal.run(dead_id), whole=True)
    if json:
        say_json(run_page.as_json(seen))
    else:
        run_page.show(seen)
    return exits.DONE


async def redrive(
    ids: _IDS = None,
    reason: _REASON = None,
    every: _ALL = False,
    dry_run: _DRY_RUN = False,
    limit: _LIMIT = None,
    by: BY = None,
    json: JSON = False,
) -> int:
    """Start a new run where each of these ended: its last hop again, with all that was recorded.

    Effects keep their idempotency keys. A failed or cancelled run can be redriven, once; a message in
    quarantine, if it is a request, is taken again as if it had just come.
    """
    async with opening.opened() as at, _broker(at, is_needed=not dry_run) as broker:
        client = Client(at.journal, broker=broker, settings=at.settings)
        who = by or login()

        async def again(dead_id: str) -> str:
            if redriving.is_message(dead_id):
                return await _take_again(at, dead_id, by=who, broker=broker)
            return (await client.redrive(dead_id, by=who)).run_id

        async def check(dead_id: str) -> None:
            await _check_redrivable(at, dead_id)

        chosen = await _chosen(at, _Choice(ids, reason, every, limit))
        code = await _each(at, _Deed("redriven", again, check), chosen, is_dry=dry_run, as_json=json)
        client.close()
        if chosen and not dry_run and not at.is_served:
            tell(f"nobody serves the {opening.shown(at.journal)} now: what was redriven goes on when somebody does")
    return code


async def discard(
    ids: _IDS = None,
    reason: _REASON = None,
    every: _ALL = False,
    dry_run: _DRY_RUN = False,
    limit: _LIMIT = None,
    by: BY = None,
    json: JSON = False,
) -> int:
    """Take these off the list. A run stays in the journal, a message is deleted."""
    async with opening.opened() as at:
        who = by or login()
        listed = {view.id for view in await at.journal.dead(DeadFilter(limit=ALL))} if dry_run else set()

        async def drop(dead_id: str) -> None:
            await at.journal.discard(dead_id, by=who)

        async def check(dead_id: str) -> None:
            if dead_id not in listed:
                raise NotFoundError(f"{dead_id!r} is not among the dead; `baton dead list` shows them")

        chosen = await _chosen(at, _Choice(ids, reason, every, limit))
        return await _each(at, _Deed("discarded", drop, check), chosen, is_dry=dry_run, as_json=json)


async def _chosen(at: Opened, choice: _Choice) -> Sequence[str]:
    """Return the ids as given, or as listed.

    Raises:
        typer.BadParameter: Not exactly one way to choose was given.
    """
    if sum((bool(choice.ids), choice.reason is not None, choice.takes_all)) != 1:
        raise typer.BadParameter("give ids, --reason CODE or --all, one of them")
    if choice.ids:
        return list(dict.fromkeys(choice.ids))
    return [view.id for view in await at.journal.dead(DeadFilter(reason=choice.reason, limit=choice.limit or ALL))]


async def _each(at: Opened, deed: _Deed, chosen: Sequence[str], *, is_dry: bool, as_json: bool) -> int:
    """Do it to each of them, oldest first; of several, one that is refused does not keep the others from it."""
    refused_count = 0
    did = f"would be {deed.done}" if is_dry else deed.done
    with progress(did, len(chosen), prints_lines=True) as advance:
        for given in chosen:
            try:
                dead_id = given if redriving.is_message(given) else (await at.journal.run(given)).run_id
                run_id = await (deed.check if is_dry else deed.do)(dead_id)
            except (RequestError, NotFoundError) as error:
                if len(chosen) == 1:
                    raise
                refused_count += 1
                _show_refused(given, error, as_json=as_json)
            else:
                _show_done(dead_id, did, run_id, as_json=as_json)
            advance()
    if len(chosen) != 1:
        tell(f"{len(chosen) - refused_count:,} of {len(chosen):,} {did}" if chosen else "none")
    return exits.BAD_USAGE if refused_count else exits.DONE


def _show_done(dead_id: str, did: str, run_id: str | None, *, as_json: bool) -> None:
    if as_json:
        say_json({"id": dead_id, "did": did, "run_id": run_id, "error": None})
    else:
        say(f"{dead_id}  {did}" + (f" as {run_id}" if run_id else ""))


def _show_refused(given: str, error: BatonError, *, as_json: bool) -> None:
    if as_json:
        say_json({"id": given, "did": "refused", "run_id": None, "error": {"code": error.code, "message": str(error)}})
    else:
        tell(one_line(f"{given}  refused: {error}"))


async def _check_redrivable(at: Opened, dead_id: str) -> None:
    """Raise what redriving would.

    Raises:
        NotFoundError: There is no such message.
        RequestError: It cannot be redriven; says why.
    """
    if redriving.is_message(dead_id):
        ingress.command(ingress.Raw.from_quarantine(await at.journal.quarantined(dead_id)), at.settings)
        return
    run = await at.journal.run(dead_id)
    beside = RunFilter(tenant=run.tenant, conversation_id=run.conversation_id, limit=ALL)
    again = [one.run_id for one in await at.journal.runs(beside) if one.redrive_of == dead_id]
    redriving.check(run.status, again[0] if again else None)


async def _take_again(at: Opened, dead_id: str, *, by: str, broker: Broker | None) -> str:
    """Take a message in quarantine as if it had just come; return the run that it belongs to.

    Raises:
        NotFoundError: There is no such message, or no such run.
        RequestError: It is refused as before, or was no request.
    """
    wanted = ingress.command(ingress.Raw.from_quarantine(await at.journal.quarantined(dead_id)), at.settings)
    if wanted.key is None:
        # Nobody's request may be taken twice because this process died before it was off the list.
        wanted = replace(wanted, key=f"quarantine:{dead_id}", redelivery_key=None)
    done = await ingress.carry_out(at.journal, wanted)
    for hop in done.publish if broker else ():
        assert broker is not None
        await publish(broker, hop)
    await at.journal.discard(dead_id, by=by)
    return done.run_id


@contextlib.asynccontextmanager
async def _broker(at: Opened, *, is_needed: bool) -> AsyncIterator[Broker | None]:
    """Connect to the broker that carries hops between processes, if there is one and it can be reached."""
    if at.settings.is_embedded or not is_needed:
        yield None
        return
    broker = open_broker(at.settings)
    try:
        try:
            await broker.start()
        except BrokerUnavailableError as error:
            tell(f"{error}; the agents find what is redriven in the journal")
            yield None
        else:
            yield broker
    finally:
        await broker.close()


async def _show_message(at: Opened, dead_id: str, *, as_json: bool) -> None:
    kept = await at.journal.quarantined(dead_id)
    in_quarantine = await at.journal.dead(DeadFilter(reason=redriving.QUARANTINE, limit=ALL))
    died_at = next((view.at for view in in_quarantine if view.id == dead_id), 0.0)
    body = kept.body.decode("utf-8", "replace")
    if as_json:
        exact = {} if body.encode() == kept.body else {"body_base64": base64.b64encode(kept.body).decode()}
        told = {"id": dead_id, "source": kept.source, "reason": kept.reason, "at": died_at, "headers": kept.headers}
        say_json({**told, "body": body, **exact})
        return
    fields({"message": dead_id, "from": kept.source, "because": kept.reason, "died": moment(died_at)})
    heading("Headers")
    fields(
        {
            name: value if isinstance(value, str) else codec.encode(value).decode()
            for name, value in kept.headers.items()
        }
    )
    heading("Body")
    say(clean(body))
