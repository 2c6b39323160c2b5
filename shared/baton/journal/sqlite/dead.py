"""Dead letters: failed runs and messages in quarantine, listed, redriven or discarded.

In: a run that ended badly. Out: a new run that begins where it ended, with all that it had recorded.
"""

from typing import Any

from baton import codec, propagation
from baton.errors import NotFoundError
from baton.journal.messages import Quarantined
from baton.journal.records import Accepted, NewEvent
from baton.journal.sqlite import conversation, reading, rows
from baton.journal.sqlite.writer import Transaction
from baton.journal.views import DeadFilter, DeadView
from baton.protocol import redriving
from baton.request import Failure

SHOWN_BYTES = 200
"""How much of a message in quarantine a list shows."""


def quarantine(tx: Transaction, message: Quarantined) -> None:
    """Keep a message that nothing could be made of."""
    tx.run(
        "INSERT INTO quarantine (at, source, reason, headers, body) VALUES (?, ?, ?, ?, ?)",
        tx.now,
        message.source,
        message.reason,
        codec.encode(message.headers),
        message.body,
    )


def quarantined(tx: Transaction, dead_id: str) -> Quarantined:
    """Return a message in quarantine.

    Raises:
        NotFoundError: There is no such message.
    """
    row = tx.one("SELECT * FROM quarantine WHERE id = ?", redriving.message_number(dead_id))
    if row is None:
        raise NotFoundError(f"no message {dead_id!r} in quarantine; `baton dead list` shows them")
    return Quarantined(row["source"], row["body"], row["reason"], codec.decode(row["headers"]))


def listed(tx: Transaction, wanted: DeadFilter) -> list[DeadView]:
    """Return the newest of the dead, the newest last."""
    found = [*_runs(tx, wanted), *_messages(tx, wanted)]
    return sorted(found, key=lambda view: view.at)[-wanted.limit :]


def _runs(tx: Transaction, wanted: DeadFilter) -> list[DeadView]:
    # The failure's code is looked at here: it is inside the stored JSON.
    found: list[DeadView] = []
    for row in tx.all(
        "SELECT * FROM runs WHERE status = 'failed' AND discarded_at IS NULL AND (? IS NULL OR tenant = ?) "
        "AND NOT EXISTS (SELECT 1 FROM runs AS again WHERE again.redrive_of = runs.run_id) ORDER BY ended_at DESC",
        wanted.tenant,
        wanted.tenant,
    ):
        error = Failure.model_validate_json(row["error"])
        if wanted.reason in (None, error.code):
            found.append(redriving.dead_run(reading.run_view(tx, row)))
        if len(found) == wanted.limit:
            break
    return found


def _messages(tx: Transaction, wanted: DeadFilter) -> list[DeadView]:
    if wanted.reason not in (None, redriving.QUARANTINE) or wanted.tenant is not None:
        return []
    return [
        redriving.dead_message(row["id"], row["at"], row["source"], row["reason"], bytes(row["start"] or b""))
        for row in tx.all(
            "SELECT id, at, source, reason, substr(body, 1, ?) AS start FROM quarantine ORDER BY id DESC LIMIT ?",
            SHOWN_BYTES,
            wanted.limit,
        )
    ]


def discard(tx: Transaction, dead_id: str, by: str, done: list[str]) -> None:
    """Take a failed run or a message off the list.

    Args:
        tx: The transaction.
        dead_id: As listed.
        by: Who does it.
        done: Gets the id; an execution that finds it there repeats one whose commit is unknown.

    Raises:
        NotFoundError: It is not on the list.
    """
    is_message = redriving.is_message(dead_id)
    hit = _discard_message(tx, dead_id) if is_message else _discard_run(tx, dead_id, by)
    if not hit and not done:
        where = "message {!r} in quarantine" if is_message else "run {!r} among the dead"
        raise NotFoundError(f"no {where.format(dead_id)}; `baton dead list` shows them")
    done[:] = [dead_id]


def _discard_message(tx: Transaction, dead_id: str) -> int:
    return tx.run("DELETE FROM quarantine WHERE id = ?", redriving.message_number(dead_id))


def _discard_run(tx: Transaction, run_id: str, by: str) -> int:
    hit = tx.run(
        "UPDATE runs SET discarded_at = ? WHERE run_id = ? AND status = 'failed' AND discarded_at IS NULL "
        "AND NOT EXISTS (SELECT 1 FROM runs AS again WHERE again.redrive_of = runs.run_id)",
        tx.now,
        run_id,
    )
    if hit:
        rows.add_events(tx, run_id, [NewEvent("discarded", 0, {"by": by})])
    return hit


def redrive(tx: Transaction, run_id: str, new_run_id: str, by: str) -> Accepted:
    """Start a new run where this one ended. Idempotent by `new_run_id`.

    Raises:
        NotFoundError: There is no such run.
        RequestError: It cannot be redriven; says why.
    """
    old = tx.one("SELECT * FROM runs WHERE run_id = ?", run_id)
    if old is None:
        raise NotFoundError(f"no run {run_id!r}; `baton dead list` shows the dead")
    again = tx.one("SELECT run_id FROM runs WHERE redrive_of = ?", run_id)
    if again is not None and again["run_id"] == new_run_id:
        return Accepted(new_run_id, old["conversation_id"], "run", is_new=True)
    redriving.check(old["status"], None if again is None else again["run_id"])
    hops = tx.all("SELECT * FROM hops WHERE run_id = ? ORDER BY seq", run_id)
    from_seq = redriving.start([(hop["agent"], hop["head"]) for hop in hops])
    _copy_run(tx, old, new_run_id, hops[from_seq]["agent"] if from_seq else None)
    _copy_hops(tx, hops[from_seq], new_run_id)
    tx.run(
        "INSERT INTO addresses SELECT ?, reply_to, correlation_id FROM addresses WHERE run_id = ?", new_run_id, run_id
    )
    rows.add_events(tx, run_id, [NewEvent("redriven", from_seq, {"by": by, "as": new_run_id})])
    rows.add_events(tx, new_run_id, [NewEvent("accepted", from_seq, {"by": by, "redrive_of": run_id})])
    published = conversation.give(tx, old["tenant"], old["conversation_id"])
    return Accepted(new_run_id, old["conversation_id"], "run", True, tuple(published))


def _copy_run(tx: Transaction, old: Any, new_run_id: str, agent: str | None) -> None:
    position = tx.one(
        "UPDATE conversations SET next_position = next_position + 1 WHERE tenant = ? AND conversation_id = ? "
        "RETURNING next_position - 1",
        old["tenant"],
        old["conversation_id"],
    )[0]
    deadline_s = codec.decode(old["request"]).get("deadline_s")
    tx.run(
        "INSERT INTO runs (run_id, tenant, conversation_id, position, status, agent, request, blocked_text, "
        "text_position, max_hops, deadline_at, batch, redrive_of, root_run_id, trace_id, traceparent, tracestate, "
        "caller, accepted_at) "
        "SELECT ?, tenant, conversation_id, ?, 'queued', ?, request, blocked_text, text_position, max_hops, ?, batch, "
        "run_id, root_run_id, ?, ?, NULL, traceparent, ? FROM runs WHERE run_id = ?",
        new_run_id,
        position,
        agent,
        None if deadline_s is None else tx.now + deadline_s,
        new_run_id,
        propagation.redriven(new_run_id, old["traceparent"]),
        tx.now,
        old["run_id"],
    )


def _copy_hops(tx: Transaction, start: Any, new_run_id: str) -> None:
    """Copy what was done, and the hop to try again, blocked until the run has its conversation; and all steps."""
    tx.run(
        "INSERT INTO hops (run_id, seq, agent, from_agent, kind, status, attempt, token, owner, pending_since, head, "
        "digest, outcome, started_at, ended_at) SELECT ?, seq, agent, from_agent, kind, status, attempt, token, owner, "
        "pending_since, head, digest, outcome, started_at, ended_at FROM hops WHERE run_id = ? AND seq < ?",
        new_run_id,
        start["run_id"],
        start["seq"],
    )
    tx.run(
        "INSERT INTO hops (run_id, seq, agent, from_agent, kind, status, pending_since, head, digest) "
        "VALUES (?, ?, ?, ?, ?, 'blocked', ?, ?, '')",
        new_run_id,
        start["seq"],
        start["agent"],
        start["from_agent"],
        start["kind"],
        tx.now,
        redriving.moved(start["head"], new_run_id),
    )
    tx.run(
        "INSERT INTO steps (run_id, scope, key, status, seq, attempt, token, effect, input_sha, idempotency_key, "
        "result, started_at, ended_at) SELECT ?, scope, key, status, seq, attempt, 0, effect, input_sha, "
        "idempotency_key, result, started_at, ended_at FROM steps WHERE run_id = ?",
        new_run_id,
        start["run_id"],
    )
