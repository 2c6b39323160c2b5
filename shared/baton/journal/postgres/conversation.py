"""Who has a conversation: one run at a time, in the order of acceptance.

In: a run that ends, or releases its conversation to wait for a person; its row and its conversation's
are locked. Out: the next run has it, and its hop is pending. A run that resumes after a wait for a
person queues here too.
"""

from typing import Any

from baton import codec
from baton.envelope import decode
from baton.errors import FactsError
from baton.journal import stored
from baton.journal.postgres import rows
from baton.journal.postgres.transaction import Transaction
from baton.journal.records import NewEvent, NewMessage, PendingHop, Reply, RunEnd
from baton.protocol import retry, waiting
from baton.protocol.opening import opening
from baton.request import Request

_IT = "tenant = $1 AND conversation_id = $2"


async def take(tx: Transaction, run: Any) -> bool:
    """Make the run the holder of its conversation if nobody is; False: somebody is."""
    hit = await tx.run(
        f"UPDATE conversations SET holder_run = $3 WHERE {_IT} AND (holder_run IS NULL OR holder_run = $3)",
        run["tenant"],
        run["conversation_id"],
        run["run_id"],
    )
    return hit == 1


async def pass_on(tx: Transaction, run: Any) -> list[PendingHop]:
    """Take the conversation from a run that ended or released it, and give it to the next in line."""
    return await give(tx, run["tenant"], run["conversation_id"]) if await _let_go(tx, run) else []


async def give(tx: Transaction, tenant: str, conversation_id: str) -> list[PendingHop]:
    """Give a free conversation to the first run that waits for it.

    And to those after it for as long as each ends at once: a person's answer needs no agent.
    """
    published: list[PendingHop] = []
    while (following := await _first_blocked(tx, tenant, conversation_id)) is not None:
        await take(tx, following)
        hop = await tx.one(
            "SELECT * FROM hops WHERE run_id = $1 AND status = 'blocked' ORDER BY seq LIMIT 1", following["run_id"]
        )
        published += await _open_hop(tx, following, hop)
        if await tx.one("SELECT 1 FROM runs WHERE run_id = $1 AND ended_at IS NULL", following["run_id"]):
            return published
        await _let_go(tx, following)
    return published


async def _open_hop(tx: Transaction, run: Any, hop: Any) -> list[PendingHop]:
    """Let a blocked hop of the holder go on: begin the run, or carry out the answer it waited for."""
    wait = await tx.one(
        "SELECT * FROM waits WHERE run_id = $1 AND seq = $2 AND status IN ('answered', 'expired') "
        "ORDER BY answered_at DESC LIMIT 1",
        run["run_id"],
        hop["seq"],
    )
    if wait is not None:
        return await resume(tx, run, hop, wait)
    return await _begin_again(tx, run, hop) if hop["head"] else await begin(tx, run)


async def _begin_again(tx: Transaction, run: Any, hop: Any) -> list[PendingHop]:
    """Let a redriven run go on from the hop that it was made with."""
    await tx.run(
        "UPDATE hops SET status = 'pending', due_at = $3, pending_since = $3 WHERE run_id = $1 AND seq = $2",
        run["run_id"],
        hop["seq"],
        tx.now,
    )
    return [stored.pending(run, hop)]


async def begin(tx: Transaction, run: Any) -> list[PendingHop]:
    """Let the run's text join the conversation and make hop 0 pending."""
    request = Request.model_construct(text=run["blocked_text"], **codec.decode(run["request"]))
    conversation = await tx.one(f"SELECT facts FROM conversations WHERE {_IT}", run["tenant"], run["conversation_id"])
    position = await rows.add_message(tx, run, 0, NewMessage("user", None, request.text))
    await tx.run("UPDATE runs SET blocked_text = NULL, text_position = $2 WHERE run_id = $1", run["run_id"], position)
    try:
        facts = codec.merge_facts(codec.decode(conversation["facts"]), request.facts)
    except FactsError as error:
        return await _fail(tx, run, error)
    if request.facts:
        await tx.run(
            f"UPDATE conversations SET facts = $3 WHERE {_IT}",
            run["tenant"],
            run["conversation_id"],
            codec.encode(facts),
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
    await tx.run(
        "UPDATE hops SET status = 'pending', due_at = $2, pending_since = $2, head = $3 WHERE run_id = $1 AND seq = 0",
        run["run_id"],
        tx.now,
        envelope.head(),
    )
    return [PendingHop(run["run_id"], 0, envelope.agent, "", run["tenant"], run["traceparent"], run["tracestate"])]


async def resume(tx: Transaction, run: Any, hop: Any, wait: Any) -> list[PendingHop]:
    """Carry out what ended a wait, now that the run has its conversation."""
    envelope, asked = decode(hop["head"]), stored.as_wait(wait)
    now = await tx.one(
        f"SELECT facts, log_length FROM conversations WHERE {_IT}", run["tenant"], run["conversation_id"]
    )
    current = waiting.caught_up(envelope, codec.decode(now["facts"]), now["log_length"])
    if wait["status"] == "expired":
        does = waiting.expiry(asked, envelope, current)
    else:
        does = waiting.resumption(asked, envelope, Reply(**codec.decode(wait["answer"])), current)
    await rows.restart_clock(tx, run["run_id"])
    await rows.add_events(tx, run["run_id"], [NewEvent("resumed", hop["seq"], does.event or {})])
    if does.message:
        await rows.add_message(tx, run, hop["seq"], does.message)
    if does.forgets_step:
        await tx.run(
            "DELETE FROM steps WHERE run_id = $1 AND scope = $2 AND key = $3",
            run["run_id"],
            asked.step_scope,
            asked.step_key,
        )
    if does.step:
        await rows.put_step(tx, run["run_id"], does.step, token=hop["token"])
    if does.does == "resume":
        return await _resumed(tx, run, hop, does.head)
    return await _over(tx, run, hop, does)


async def _resumed(tx: Transaction, run: Any, hop: Any, head: bytes | None) -> list[PendingHop]:
    await tx.run(
        "UPDATE hops SET status = 'pending', kind = CASE kind WHEN 'reply' THEN 'reply' ELSE 'resume' END, head = $3, "
        "digest = '', due_at = $4, pending_since = $4, awaits_poll = false WHERE run_id = $1 AND seq = $2",
        run["run_id"],
        hop["seq"],
        head,
        tx.now,
    )
    return [stored.pending(run, hop)]


async def _over(tx: Transaction, run: Any, hop: Any, does: waiting.Resumption) -> list[PendingHop]:
    """End a waiting hop whose run ends or goes on elsewhere."""
    is_bad = does.end is not None and does.end.status != "completed"
    await tx.run(
        "UPDATE hops SET status = $3, ended_at = $4 WHERE run_id = $1 AND seq = $2",
        run["run_id"],
        hop["seq"],
        "failed" if is_bad else "done",
        tx.now,
    )
    if does.end is not None:
        await rows.end_run(tx, run["run_id"], does.end)
        ended = NewEvent(does.end.status, hop["seq"], {"agent": does.end.agent})
        await rows.add_events(tx, run["run_id"], [ended])
        return []
    following = does.next
    assert following is not None
    await rows.add_hop(tx, run["run_id"], following)
    if following.status == "waiting":
        assert does.wait is not None
        await rows.add_wait(tx, run, does.wait)
        return await pass_on(tx, run)
    await tx.run("UPDATE runs SET agent = $2 WHERE run_id = $1", run["run_id"], following.agent)
    return [stored.following(run, following)]


async def _let_go(tx: Transaction, run: Any) -> int:
    return await tx.run(
        f"UPDATE conversations SET holder_run = NULL WHERE {_IT} AND holder_run = $3",
        run["tenant"],
        run["conversation_id"],
        run["run_id"],
    )


async def _fail(tx: Transaction, run: Any, error: FactsError) -> list[PendingHop]:
    failure = retry.failure_of(error, "router")
    await tx.run(
        "UPDATE hops SET status = 'failed', ended_at = $2 WHERE run_id = $1 AND seq = 0", run["run_id"], tx.now
    )
    await rows.end_run(tx, run["run_id"], RunEnd("failed", error=failure))
    told = NewEvent("failed", 0, {"code": failure.code, "message": failure.message})
    await rows.add_events(tx, run["run_id"], [told])
    return []


async def _first_blocked(tx: Transaction, tenant: str, conversation_id: str) -> Any:
    return await tx.one(
        "SELECT r.* FROM runs r WHERE r.run_id = first_blocked($1, $2) AND (SELECT holder_run IS NULL "
        f"FROM conversations WHERE {_IT})",
        tenant,
        conversation_id,
    )
