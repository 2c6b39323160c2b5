"""Reading the journal: runs and all that belongs to them, for clients, people and tests.

In: a read-only transaction. Out: views.
"""

from typing import Any

from baton import codec, ids
from baton.card import Card
from baton.envelope import Message
from baton.errors import NotFoundError
from baton.journal import stored
from baton.journal.contract import LIVE_S
from baton.journal.sqlite.writer import Transaction
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
from baton.request import Question, Result, RunStatus

MIN_PREFIX = 6
"""Shortest beginning of a run id that is looked up."""
TEXT = (
    "coalesce(r.blocked_text, (SELECT m.text FROM messages AS m WHERE m.tenant = r.tenant "
    "AND m.conversation_id = r.conversation_id AND m.position = r.text_position), '') AS text"
)
"""A run's text, wherever it stands."""


def find(tx: Transaction, run_id: str) -> Any:
    """Return the row of a run, named by its id or a unique beginning.

    Raises:
        NotFoundError: There is no such run, or several.
    """
    found = tx.all("SELECT * FROM runs WHERE run_id = ?", run_id)
    if not found and len(run_id) >= MIN_PREFIX:
        found = tx.all("SELECT * FROM runs WHERE run_id >= ? AND run_id < ? LIMIT 2", run_id, run_id + "g")
    if len(found) != 1:
        told = "several runs begin with" if found else "no run"
        raise NotFoundError(f"{told} {run_id!r}; `baton runs` lists them")
    return found[0]


def run_view(tx: Transaction, row: Any) -> RunView:
    """Return a row of `runs` as a view."""
    return stored.run_view(row, _text(tx, row))


def runs(tx: Transaction, wanted: RunFilter) -> list[RunView]:
    """Return the newest runs that match, the newest last."""
    given = wanted.model_dump(exclude={"limit"}, exclude_none=True)
    where = " AND ".join(f"{name} = ?" for name in given) or "1"
    found = tx.all(f"SELECT * FROM runs WHERE {where} ORDER BY run_id DESC LIMIT ?", *given.values(), wanted.limit)
    return [run_view(tx, row) for row in reversed(found)]


def status(tx: Transaction, run_id: str) -> RunStatus:
    """Return a run's status.

    Raises:
        NotFoundError: There is no such run.
    """
    row = tx.one("SELECT status FROM runs WHERE run_id = ?", run_id)
    if row is None:
        raise NotFoundError(f"no run {run_id!r}; `baton runs` lists them")
    found: RunStatus = row[0]
    return found


def result(tx: Transaction, run_id: str) -> Result:
    """Return how a run stands."""
    row = find(tx, run_id)
    answer = codec.decode(row["result"]) if row["result"] else {}
    hops = tx.all("SELECT agent, kind FROM hops WHERE run_id = ? ORDER BY seq", row["run_id"])
    facts = tx.one(
        "SELECT facts FROM conversations WHERE tenant = ? AND conversation_id = ?",
        row["tenant"],
        row["conversation_id"],
    )
    return Result(
        run_id=row["run_id"],
        conversation_id=row["conversation_id"],
        status=row["status"],
        text=answer.get("text"),
        data=answer.get("data"),
        facts=codec.decode(facts[0]),
        agent=row["agent"],
        trail=tuple(hop["agent"] for hop in hops if hop["kind"] != "reply"),
        error=stored.failure(row["error"]),
        question=_question(tx, row["run_id"]) if row["status"] == "waiting" else None,
    )


def hops(tx: Transaction, run_id: str) -> list[HopView]:
    """Return a run's hops in order."""
    return [stored.hop_view(row) for row in tx.all("SELECT * FROM hops WHERE run_id = ? ORDER BY seq", run_id)]


def steps(tx: Transaction, run_id: str) -> list[StepView]:
    """Return a run's steps in the order in which they began."""
    found = tx.all("SELECT * FROM steps WHERE run_id = ? ORDER BY started_at, key", run_id)
    return [stored.step_view(row) for row in found]


def waits(tx: Transaction, run_id: str) -> list[WaitView]:
    """Return a run's waits in order."""
    found = tx.all("SELECT * FROM waits WHERE run_id = ? ORDER BY created_at", run_id)
    return list(map(stored.wait_view, found))


def events(tx: Transaction, run_id: str, after: int) -> list[EventView]:
    """Return a run's events with a number above `after`."""
    found = tx.all("SELECT * FROM events WHERE run_id = ? AND number > ? ORDER BY number", run_id, after)
    return [stored.event_view(row) for row in found]


def history(tx: Transaction, tenant: str, conversation_id: str) -> tuple[Message, ...]:
    """Return the whole log of a conversation."""
    found = tx.all(
        "SELECT * FROM messages WHERE tenant = ? AND conversation_id = ? ORDER BY position",
        tenant,
        conversation_id,
    )
    return tuple(map(stored.as_message, found))


def agents(tx: Transaction) -> list[AgentView]:
    """Return the registered agents with what stands before each of them."""
    return [_agent(tx, row) for row in tx.all("SELECT * FROM agents ORDER BY name")]


def window(tx: Transaction, wanted: WindowFilter) -> HopWindow:
    """Return the hops of the newest runs that were accepted within a time."""
    since_at = tx.now - wanted.since_s
    found = tx.all(
        f"SELECT {stored.WINDOW} FROM (SELECT run_id, status, redrive_of, accepted_at FROM runs WHERE run_id >= ? "
        "AND accepted_at >= ? AND (? IS NULL OR tenant = ?) ORDER BY run_id DESC LIMIT ?) AS r "
        "JOIN hops AS h ON h.run_id = r.run_id ORDER BY h.run_id, h.seq",
        ids.first_run_id(since_at - stored.CLOCKS_APART_S),
        since_at,
        wanted.tenant,
        wanted.tenant,
        wanted.limit + 1,
    )
    return stored.window(found, wanted.limit)


def _agent(tx: Transaction, row: Any) -> AgentView:
    card = Card.model_validate_json(row["card"])
    counts = dict(
        tx.all(
            "SELECT status, count(*) FROM hops WHERE agent = ? AND status IN ('pending', 'running') GROUP BY status "
            "UNION ALL SELECT 'waiting', count(*) FROM hops WHERE agent = ? AND status IN ('blocked', 'waiting')",
            card.name,
            card.name,
        )
    )
    replicas, seen_at = tx.one(
        "SELECT count(*) FILTER (WHERE seen_at > ?), max(seen_at) FROM replicas WHERE agent = ?",
        tx.now - LIVE_S,
        card.name,
    )
    return AgentView(
        name=card.name,
        description=card.description,
        version=card.version,
        entry=card.entry,
        skills=len(card.skills),
        targets=card.targets,
        registered_at=row["registered_at"],
        pending=counts.get("pending", 0),
        running=counts.get("running", 0),
        waiting=counts.get("waiting", 0),
        replicas=replicas,
        seen_at=seen_at,
    )


def _text(tx: Transaction, run: Any) -> str:
    if run["blocked_text"] is not None:
        return str(run["blocked_text"])
    row = tx.one(
        "SELECT text FROM messages WHERE tenant = ? AND conversation_id = ? AND position = ?",
        run["tenant"],
        run["conversation_id"],
        run["text_position"],
    )
    return "" if row is None else str(row[0])


def _question(tx: Transaction, run_id: str) -> Question | None:
    row = tx.one("SELECT * FROM waits WHERE run_id = ? AND status = 'waiting' ORDER BY created_at DESC LIMIT 1", run_id)
    return None if row is None else stored.question(row)
