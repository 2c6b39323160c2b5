"""Dead letters: failed runs and messages in quarantine, listed, redriven or discarded.

In: a run that ended badly. Out: a new run that begins where it ended, with all that it had recorded.
"""

from typing import Any

from baton import codec, propagation
from baton.errors import NotFoundError
from baton.journal import stored
from baton.journal.messages import Quarantined
from baton.journal.postgres import conversation, reading, rows
from baton.journal.postgres.transaction import Transaction
from baton.journal.records import Accepted, NewEvent
from baton.journal.views import DeadFilter, DeadView
from baton.protocol import redriving
from baton.request import Failure

SHOWN_BYTES = 200
"""How much of a message in quarantine a list shows."""
_PAGE = 200
"""Failed runs read at a time while a list is made."""


async def quarantine(tx: Transaction, message: Quarantined) -> None:
    """Keep a message that nothing could be made of."""
    await tx.run(
        "INSERT INTO quarantine (at, source, reason, headers, body) VALUES (clock(), $1, $2, $3, $4)",
        _stored(message.source),
        _stored(message.reason),
        codec.encode(message.headers),
        message.body,
    )


async def quarantined(tx: Transaction, dead_id: str) -> Quarantined:
    """Return a message in quarantine.

    Raises:
        NotFoundError: There is no such message.
    """
    row = await tx.one("SELECT * FROM quarantine WHERE id = $1", redriving.message_number(dead_id))
    if row is None:
        raise NotFoundError(f"no message {dead_id!r} in quarantine; `baton dead list` shows them")
    return Quarantined(row["source"], row["body"], row["reason"], codec.decode(row["headers"]))


async def listed(tx: Transaction, wanted: DeadFilter) -> list[DeadView]:
    """Return the newest of the dead, the newest last."""
    found = [*await _runs(tx, wanted), *await _messages(tx, wanted)]
    return sorted(found, key=lambda view: view.at)[-wanted.limit :]


async def _runs(tx: Transaction, wanted: DeadFilter) -> list[DeadView]:
    # The failure's code is looked at here: it is inside the stored JSON.
    found: list[DeadView] = []
    before, before_id = float("inf"), ""
    while len(found) < wanted.limit:
        page = await tx.all(
            f"SELECT r.*, {reading.TEXT} FROM runs r WHERE r.error IS NOT NULL AND r.discarded_at IS NULL "
            "AND r.status = 'failed' AND ($3::text IS NULL OR r.tenant = $3) AND (r.ended_at, r.run_id) < ($1, $2) "
            "AND NOT EXISTS (SELECT 1 FROM runs a WHERE a.redrive_of = r.run_id) "
            "ORDER BY r.ended_at DESC, r.run_id DESC LIMIT $4",
            before,
            before_id,
            wanted.tenant,
            _PAGE,
        )
        for row in page:
            if wanted.reason in (None, Failure.model_validate_json(row["error"]).code):
                found.append(redriving.dead_run(stored.run_view(row, row["text"])))
        if len(page) < _PAGE:
            break
        before, before_id = page[-1]["ended_at"], page[-1]["run_id"]
    return found[: wanted.limit]


async def _messages(tx: Transaction, wanted: DeadFilter) -> list[DeadView]:
    if wanted.reason not in (None, redriving.QUARANTINE) or wanted.tenant is not None:
        return []
    found = await tx.all(
        "SELECT id, at, source, reason, substr(body, 1, $1) AS start FROM quarantine ORDER BY id DESC LIMIT $2",
        SHOWN_BYTES,
        wanted.limit,
    )
    return [redriving.dead_message(row["id"], row["at"], row["source"], row["reason"], row["start"]) for row in found]


async def discard(tx: Transaction, dead_id: str, by: str, done: list[str]) -> None:
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
    hit = await _discard_message(tx, dead_id) if is_message else await _discard_run(tx, dead_id, by)
    if not hit and not done:
        where = "message {!r} in quarantine" if is_message else "run {!r} among the dead"
        raise NotFoundError(f"no {where.format(dead_id)}; `baton dead list` shows them")
    done[:] = [dead_id]


async def _discard_message(tx: Transaction, dead_id: str) -> int:
    return await tx.run("DELETE FROM quarantine WHERE id = $1", redriving.message_number(dead_id))


async def _discard_run(tx: Transaction, run_id: str, by: str) -> int:
    await tx.lock([run_id])
    hit = await tx.run(
        "UPDATE runs r SET discarded_at = $2 WHERE run_id = $1 AND status = 'failed' AND discarded_at IS NULL "
        "AND NOT EXISTS (SELECT 1 FROM runs a WHERE a.redrive_of = r.run_id)",
        run_id,
        tx.now,
    )
    if hit:
        await rows.add_events(tx, run_id, [NewEvent("discarded", 0, {"by": by})])
    return hit


async def redrive(tx: Transaction, run_id: str, new_run_id: str, by: str) -> Accepted:
    """Start a new run where this one ended. Idempotent by `new_run_id`.

    Raises:
        NotFoundError: There is no such run.
        RequestError: It cannot be redriven; says why.
    """
    await tx.lock([run_id])
    old = await tx.one("SELECT * FROM runs WHERE run_id = $1", run_id)
    if old is None:
        raise NotFoundError(f"no run {run_id!r}; `baton dead list` shows the dead")
    again = await tx.value("SELECT run_id FROM runs WHERE redrive_of = $1", run_id)
    if again == new_run_id:
        return Accepted(new_run_id, old["conversation_id"], "run", is_new=True)
    redriving.check(old["status"], again)
    hops = await tx.all("SELECT * FROM hops WHERE run_id = $1 ORDER BY seq", run_id)
    from_seq = redriving.start([(hop["agent"], hop["head"]) for hop in hops])
    await _copy_run(tx, old, new_run_id, hops[from_seq]["agent"] if from_seq else None)
    await _copy_hops(tx, hops[from_seq], new_run_id)
    await tx.run(
        "INSERT INTO addresses SELECT $1, reply_to, correlation_id FROM addresses WHERE run_id = $2", new_run_id, run_id
    )
    await rows.add_events(tx, run_id, [NewEvent("redriven", from_seq, {"by": by, "as": new_run_id})])
    await rows.add_events(tx, new_run_id, [NewEvent("accepted", from_seq, {"by": by, "redrive_of": run_id})])
    published = await conversation.give(tx, old["tenant"], old["conversation_id"])
    return Accepted(new_run_id, old["conversation_id"], "run", True, tuple(published))


async def _copy_run(tx: Transaction, old: Any, new_run_id: str, agent: str | None) -> None:
    position = await tx.value(
        "UPDATE conversations SET next_position = next_position + 1 WHERE tenant = $1 AND conversation_id = $2 "
        "RETURNING next_position - 1",
        old["tenant"],
        old["conversation_id"],
    )
    deadline_s = codec.decode(old["request"]).get("deadline_s")
    await tx.run(
        "INSERT INTO runs (run_id, tenant, conversation_id, position, status, agent, request, blocked_text, "
        "text_position, max_hops, deadline_at, batch, redrive_of, root_run_id, trace_id, traceparent, tracestate, "
        "caller, accepted_at) SELECT $1, tenant, conversation_id, $2, 'queued', $6, request, blocked_text, "
        "text_position, max_hops, $3, batch, run_id, root_run_id, $1, $7, NULL, traceparent, $4 FROM runs "
        "WHERE run_id = $5",
        new_run_id,
        position,
        None if deadline_s is None else tx.now + deadline_s,
        tx.now,
        old["run_id"],
        agent,
        propagation.redriven(new_run_id, old["traceparent"]),
    )


async def _copy_hops(tx: Transaction, start: Any, new_run_id: str) -> None:
    """Copy what was done, and the hop to try again, blocked until the run has its conversation; and all steps."""
    await tx.run(
        "INSERT INTO hops (run_id, seq, agent, from_agent, kind, status, attempt, token, owner, pending_since, head, "
        "digest, outcome, started_at, ended_at) SELECT $1, seq, agent, from_agent, kind, status, attempt, token, "
        "owner, pending_since, head, digest, outcome, started_at, ended_at FROM hops WHERE run_id = $2 AND seq < $3",
        new_run_id,
        start["run_id"],
        start["seq"],
    )
    await tx.run(
        "INSERT INTO hops (run_id, seq, agent, from_agent, kind, status, pending_since, head, digest) "
        "VALUES ($1, $2, $3, $4, $5, 'blocked', $6, $7, '')",
        new_run_id,
        start["seq"],
        start["agent"],
        start["from_agent"],
        start["kind"],
        tx.now,
        redriving.moved(start["head"], new_run_id),
    )
    await tx.run(
        "INSERT INTO steps (run_id, scope, key, status, seq, attempt, token, effect, input_sha, idempotency_key, "
        "result, started_at, ended_at) SELECT $1, scope, key, status, seq, attempt, 0, effect, input_sha, "
        "idempotency_key, result, started_at, ended_at FROM steps WHERE run_id = $2",
        new_run_id,
        start["run_id"],
    )


def _stored(text: str) -> str:
    """Return a text from outside as the server takes it."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{SYMBOL FOR NULL}")
