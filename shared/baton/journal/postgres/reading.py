"""Reading the journal: runs and all that belongs to them, for clients, people and tests.

In: a read-only transaction. Out: views.
"""

from collections.abc import Sequence
from typing import Any

from baton import codec, ids
from baton.card import Card
from baton.envelope import Message
from baton.errors import NotFoundError
from baton.journal import stored
from baton.journal.contract import LIVE_S
from baton.journal.postgres.transaction import Transaction
from baton.journal.views import (
    AgentView,
    EventView,
    HopView,
    HopWindow,
    RunFilter,
    RunView,
    StepView,
    WaitView,
    WindowFilter,
)
from baton.request import Result, RunStatus

MIN_PREFIX = 6
"""Shortest beginning of a run id that is looked up."""

TEXT = (
    "coalesce(r.blocked_text, (SELECT m.text FROM messages m WHERE m.tenant = r.tenant "
    "AND m.conversation_id = r.conversation_id AND m.position = r.text_position), '') AS text"
)
"""A run's text, wherever it stands."""


async def find(tx: Transaction, run_id: str) -> str:
    """Return the id of a run, named by it or by a unique beginning.

    Raises:
        NotFoundError: There is no such run, or several.
    """
    check_text(run_id)
    if await tx.one("SELECT 1 FROM runs WHERE run_id = $1", run_id):
        return run_id
    found = []
    if len(run_id) >= MIN_PREFIX:
        found = await tx.all("SELECT run_id FROM runs WHERE run_id >= $1 AND run_id < $1 || 'g' LIMIT 2", run_id)
    if len(found) != 1:
        told = "several runs begin with" if found else "no run"
        raise NotFoundError(f"{told} {run_id!r}; `baton runs` lists them")
    return str(found[0]["run_id"])


async def run(tx: Transaction, run_id: str) -> RunView:
    """Return one run.

    Raises:
        NotFoundError: There is no such run, or several.
    """
    row = await tx.one(f"SELECT r.*, {TEXT} FROM runs r WHERE r.run_id = $1", await find(tx, run_id))
    return stored.run_view(row, row["text"])


async def runs(tx: Transaction, wanted: RunFilter) -> list[RunView]:
    """Return the newest runs that match, the newest last."""
    given = wanted.model_dump(exclude={"limit"}, exclude_none=True)
    for text in given.values():
        check_text(text)
    where = " AND ".join(f"r.{name} = ${number}" for number, name in enumerate(given, 2)) or "true"
    found = await tx.all(
        f"SELECT r.*, {TEXT} FROM runs r WHERE {where} ORDER BY r.run_id DESC LIMIT $1", wanted.limit, *given.values()
    )
    return [stored.run_view(row, row["text"]) for row in reversed(found)]


async def status(tx: Transaction, run_id: str) -> RunStatus:
    """Return a run's status.

    Raises:
        NotFoundError: There is no such run.
    """
    check_text(run_id)
    found: RunStatus | None = await tx.value("SELECT status FROM runs WHERE run_id = $1", run_id)
    if found is None:
        raise NotFoundError(f"no run {run_id!r}; `baton runs` lists them")
    return found


async def result(tx: Transaction, run_id: str) -> Result:
    """Return how a run stands.

    Raises:
        NotFoundError: There is no such run, or several.
    """
    found = await results(tx, [await find(tx, run_id)])
    return next(iter(found.values()))


async def results(tx: Transaction, run_ids: Sequence[str]) -> dict[str, Result]:
    """Return how runs stand, by their ids."""
    return {row["run_id"]: result_of(row) for row in await tx.all(RESULTS, list(run_ids))}


RESULTS = (
    "SELECT r.run_id, r.conversation_id, r.status, r.agent, r.result, r.error, c.facts, ARRAY("
    "SELECT h.agent FROM hops h WHERE h.run_id = r.run_id AND h.kind <> 'reply' ORDER BY h.seq) AS trail, "
    "q.wait_id, q.kind, q.prompt, q.options, q.deadline_at "
    "FROM runs r JOIN conversations c ON c.tenant = r.tenant AND c.conversation_id = r.conversation_id "
    "LEFT JOIN LATERAL (SELECT * FROM waits w WHERE w.run_id = r.run_id AND w.status = 'waiting' "
    "AND r.status = 'waiting' ORDER BY w.created_at DESC LIMIT 1) AS q ON true WHERE r.run_id = ANY ($1::text[])"
)
"""Reads how runs stand."""


def result_of(row: Any) -> Result:
    """Return a row of `RESULTS` as a result."""
    answer = codec.decode(row["result"]) if row["result"] else {}
    return Result(
        run_id=row["run_id"],
        conversation_id=row["conversation_id"],
        status=row["status"],
        text=answer.get("text"),
        data=answer.get("data"),
        facts=codec.decode(row["facts"]),
        agent=row["agent"],
        trail=tuple(row["trail"]),
        error=stored.failure(row["error"]),
        question=stored.question(row) if row["wait_id"] is not None else None,
    )


async def hops(tx: Transaction, run_id: str) -> list[HopView]:
    """Return a run's hops in order."""
    return [stored.hop_view(row) for row in await tx.all("SELECT * FROM hops WHERE run_id = $1 ORDER BY seq", run_id)]


async def steps(tx: Transaction, run_id: str) -> list[StepView]:
    """Return a run's steps in the order in which they began."""
    found = await tx.all("SELECT * FROM steps WHERE run_id = $1 ORDER BY started_at, key", run_id)
    return [stored.step_view(row) for row in found]


async def waits(tx: Transaction, run_id: str) -> list[WaitView]:
    """Return a run's waits in order."""
    found = await tx.all("SELECT * FROM waits WHERE run_id = $1 ORDER BY created_at", run_id)
    return list(map(stored.wait_view, found))


async def events(tx: Transaction, run_id: str, after: int) -> list[EventView]:
    """Return a run's events with a number above `after`."""
    found = await tx.all("SELECT * FROM events WHERE run_id = $1 AND number > $2 ORDER BY number", run_id, after)
    return [stored.event_view(row) for row in found]


async def history(tx: Transaction, tenant: str, conversation_id: str) -> tuple[Message, ...]:
    """Return the whole log of a conversation."""
    found = await tx.all(
        "SELECT * FROM messages WHERE tenant = $1 AND conversation_id = $2 ORDER BY position", tenant, conversation_id
    )
    return tuple(map(stored.as_message, found))


async def agents(tx: Transaction) -> list[AgentView]:
    """Return the registered agents with what stands before each of them."""
    found = await tx.all(
        "SELECT a.*, (SELECT count(*) FROM hops h WHERE h.agent = a.name AND h.status = 'pending' "
        "AND NOT h.awaits_poll) AS first, late.pending, late.running, (SELECT count(*) FROM hops h "
        "WHERE h.agent = a.name AND h.status IN ('blocked', 'waiting')) AS waiting, seen.replicas, seen.seen_at "
        "FROM agents a, LATERAL (SELECT count(*) FILTER (WHERE r.seen_at > (SELECT clock()) - $1) AS replicas, "
        "max(r.seen_at) AS seen_at FROM replicas r WHERE r.agent = a.name) AS seen, LATERAL ("
        "SELECT count(*) FILTER (WHERE h.status = 'pending') AS pending, "
        "count(*) FILTER (WHERE h.status = 'running') AS running FROM hops h WHERE h.agent = a.name "
        "AND (h.status = 'running' OR (h.status = 'pending' AND h.awaits_poll))) AS late ORDER BY a.name",
        LIVE_S,
    )
    return list(map(_agent, found))


async def window(tx: Transaction, wanted: WindowFilter) -> HopWindow:
    """Return the hops of the newest runs that were accepted within a time."""
    check_text(wanted.tenant or "")
    await tx.tick()
    since_at = tx.now - wanted.since_s
    found = await tx.all(
        f"SELECT {stored.WINDOW} FROM (SELECT run_id, status, redrive_of, accepted_at FROM runs WHERE run_id >= $1 "
        "AND accepted_at >= $2 AND ($3::text IS NULL OR tenant = $3) ORDER BY run_id DESC LIMIT $4) AS r "
        "JOIN hops AS h ON h.run_id = r.run_id ORDER BY h.run_id, h.seq",
        ids.first_run_id(since_at - stored.CLOCKS_APART_S),
        since_at,
        wanted.tenant,
        wanted.limit + 1,
    )
    return stored.window(found, wanted.limit)


def _agent(row: Any) -> AgentView:
    card = Card.model_validate_json(row["card"])
    return AgentView(
        name=card.name,
        description=card.description,
        version=card.version,
        entry=card.entry,
        skills=len(card.skills),
        targets=card.targets,
        registered_at=row["registered_at"],
        pending=row["first"] + row["pending"],
        running=row["running"],
        waiting=row["waiting"],
        replicas=row["replicas"],
        seen_at=row["seen_at"],
    )


def check_text(text: str) -> None:
    """Refuse what no stored text can be: the server would call it an error of its own.

    Raises:
        NotFoundError: It holds U+0000, or is no valid Unicode.
    """
    if "\0" in text or text.encode("utf-8", "replace").decode() != text:
        raise NotFoundError(f"nothing is called {text!r}: no name holds U+0000 or lone surrogates")
