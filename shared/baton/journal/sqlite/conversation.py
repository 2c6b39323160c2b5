"""Who has a conversation: one run at a time, in the order of acceptance.

In: a run that ends, or releases its conversation to wait for a person. Out: the next run has it,
and its hop is pending. A run that resumes after a wait for a person queues here too.
"""

from typing import Any

from baton import codec
from baton.envelope import decode
from baton.errors import FactsError
from baton.journal import stored
from baton.journal.records import NewEvent, NewMessage, PendingHop, Reply, RunEnd
from baton.journal.sqlite import rows
from baton.journal.sqlite.writer import Transaction
from baton.protocol import retry, waiting
from baton.protocol.opening import opening
from baton.request import Request


def take(tx: Transaction, run: Any) -> bool:
    """Make the run the holder of its conversation if nobody is; False: somebody is."""
    return (
        tx.run(
            "UPDATE conversations SET holder_run = ? WHERE tenant = ? AND conversation_id = ? "
            "AND (holder_run IS NULL OR holder_run = ?)",
            run["run_id"],
            run["tenant"],
            run["conversation_id"],
            run["run_id"],
        )
        == 1
    )


def pass_on(tx: Transaction, run: Any) -> list[PendingHop]:
    """Take the conversation from a run that ended or released it, and give it to the next in line."""
    return give(tx, run["tenant"], run["conversation_id"]) if _let_go(tx, run) else []


def give(tx: Transaction, tenant: str, conversation_id: str) -> list[PendingHop]:
    """Give a free conversation to the first run that waits for it.

    And to those after it for as long as each ends at once: a person's answer needs no agent.
    """
    published: list[PendingHop] = []
    while (following := _first_blocked(tx, tenant, conversation_id)) is not None:
        take(tx, following)
        hop = tx.one(
            "SELECT * FROM hops WHERE run_id = ? AND status = 'blocked' ORDER BY seq LIMIT 1",
            following["run_id"],
        )
        published += open_hop(tx, following, hop)
        if tx.one(f"SELECT 1 FROM runs WHERE run_id = ? AND status IN {rows.OPEN}", following["run_id"]):
            return published
        _let_go(tx, following)
    return published


def open_hop(tx: Transaction, run: Any, hop: Any) -> list[PendingHop]:
    """Let a blocked hop of the holder go on: begin the run, or carry out the answer it waited for."""
    wait = tx.one(
        "SELECT * FROM waits WHERE run_id = ? AND seq = ? AND status IN ('answered', 'expired') "
        "ORDER BY answered_at DESC LIMIT 1",
        run["run_id"],
        hop["seq"],
    )
    if wait is not None:
        return resume(tx, run, hop, wait)
    return begin_again(tx, run, hop) if hop["head"] else begin(tx, run)


def begin_again(tx: Transaction, run: Any, hop: Any) -> list[PendingHop]:
    """Let a redriven run go on from the hop that it was made with."""
    tx.run(
        "UPDATE hops SET status = 'pending', due_at = ?, pending_since = ? WHERE run_id = ? AND seq = ?",
        tx.now,
        tx.now,
        run["run_id"],
        hop["seq"],
    )
    return [stored.pending(run, hop)]


def begin(tx: Transaction, run: Any) -> list[PendingHop]:
    """Let the run's text join the conversation and make hop 0 pending."""
    request = Request.model_construct(text=run["blocked_text"], **codec.decode(run["request"]))
    conversation = tx.one(
        "SELECT * FROM conversations WHERE tenant = ? AND conversation_id = ?",
        run["tenant"],
        run["conversation_id"],
    )
    position = rows.add_message(tx, run, 0, NewMessage("user", None, request.text))
    tx.run("UPDATE runs SET blocked_text = NULL, text_position = ? WHERE run_id = ?", position, run["run_id"])
    try:
        facts = codec.merge_facts(codec.decode(conversation["facts"]), request.facts)
    except FactsError as error:
        return _fail(tx, run, error)
    if request.facts:
        tx.run(
            "UPDATE conversations SET facts = ? WHERE tenant = ? AND conversation_id = ?",
            codec.encode(facts),
            run["tenant"],
            run["conversation_id"],
        )
    envelope = opening(
        run["run_id"],
        run["tenant"],
        run["conversation_id"],
        request,
        facts=facts,
        text_position=position,
        max_hops=run["max_hops"],
    )
    tx.run(
        "UPDATE hops SET status = 'pending', due_at = ?, pending_since = ?, head = ? WHERE run_id = ? AND seq = 0",
        tx.now,
        tx.now,
        envelope.head(),
        run["run_id"],
    )
    return [PendingHop(run["run_id"], 0, envelope.agent, "", run["tenant"], run["traceparent"], run["tracestate"])]


def resume(tx: Transaction, run: Any, hop: Any, wait: Any) -> list[PendingHop]:
    """Carry out what ended a wait, now that the run has its conversation."""
    envelope, asked = decode(hop["head"]), stored.as_wait(wait)
    facts, log_length = tx.one(
        "SELECT facts, log_length FROM conversations WHERE tenant = ? AND conversation_id = ?",
        run["tenant"],
        run["conversation_id"],
    )
    current = waiting.caught_up(envelope, codec.decode(facts), log_length)
    if wait["status"] == "expired":
        does = waiting.expiry(asked, envelope, current)
    else:
        does = waiting.resumption(asked, envelope, Reply(**codec.decode(wait["answer"])), current)
    rows.restart_clock(tx, run["run_id"])
    rows.add_events(tx, run["run_id"], [NewEvent("resumed", hop["seq"], does.event or {})])
    if does.message:
        rows.add_message(tx, run, hop["seq"], does.message)
    if does.forgets_step:
        _forget_step(tx, run["run_id"], asked.step_scope, asked.step_key)
    if does.step:
        rows.put_step(tx, run["run_id"], does.step, token=hop["token"])
    if does.does == "resume":
        return _resumed(tx, run, hop, does.head)
    return _over(tx, run, hop, does)


def _resumed(tx: Transaction, run: Any, hop: Any, head: bytes | None) -> list[PendingHop]:
    tx.run(
        "UPDATE hops SET status = 'pending', kind = CASE kind WHEN 'reply' THEN 'reply' ELSE 'resume' END, head = ?, "
        "digest = '', due_at = ?, pending_since = ?, awaits_poll = 0 WHERE run_id = ? AND seq = ?",
        head,
        tx.now,
        tx.now,
        run["run_id"],
        hop["seq"],
    )
    return [stored.pending(run, hop)]


def _over(tx: Transaction, run: Any, hop: Any, does: waiting.Resumption) -> list[PendingHop]:
    """End a waiting hop whose run ends or goes on elsewhere."""
    is_bad = does.end is not None and does.end.status != "completed"
    tx.run(
        "UPDATE hops SET status = ?, ended_at = ? WHERE run_id = ? AND seq = ?",
        "failed" if is_bad else "done",
        tx.now,
        run["run_id"],
        hop["seq"],
    )
    if does.end is not None:
        rows.end_run(tx, run["run_id"], does.end)
        rows.add_events(tx, run["run_id"], [NewEvent(does.end.status, hop["seq"], {"agent": does.end.agent})])
        return []
    following = does.next
    assert following is not None
    rows.add_hop(tx, run["run_id"], following)
    if following.status == "waiting":
        assert does.wait is not None
        rows.add_wait(tx, run, does.wait)
        return pass_on(tx, run)
    tx.run("UPDATE runs SET agent = ? WHERE run_id = ?", following.agent, run["run_id"])
    return [stored.following(run, following)]


def _let_go(tx: Transaction, run: Any) -> int:
    return tx.run(
        "UPDATE conversations SET holder_run = NULL WHERE tenant = ? AND conversation_id = ? AND holder_run = ?",
        run["tenant"],
        run["conversation_id"],
        run["run_id"],
    )


def _forget_step(tx: Transaction, run_id: str, scope: str, key: str | None) -> None:
    tx.run("DELETE FROM steps WHERE run_id = ? AND scope = ? AND key = ?", run_id, scope, key)


def _fail(tx: Transaction, run: Any, error: FactsError) -> list[PendingHop]:
    failure = retry.failure_of(error, "router")
    tx.run("UPDATE hops SET status = 'failed', ended_at = ? WHERE run_id = ? AND seq = 0", tx.now, run["run_id"])
    rows.end_run(tx, run["run_id"], RunEnd("failed", error=failure))
    rows.add_events(tx, run["run_id"], [NewEvent("failed", 0, {"code": failure.code, "message": failure.message})])
    return []


def _first_blocked(tx: Transaction, tenant: str, conversation_id: str) -> Any:
    return tx.one(
        f"SELECT runs.* FROM runs JOIN conversations USING (tenant, conversation_id) "
        f"WHERE tenant = ? AND conversation_id = ? AND holder_run IS NULL AND runs.status IN {rows.OPEN} "
        "AND EXISTS (SELECT 1 FROM hops WHERE hops.run_id = runs.run_id AND hops.status = 'blocked') "
        "ORDER BY position LIMIT 1",
        tenant,
        conversation_id,
    )
