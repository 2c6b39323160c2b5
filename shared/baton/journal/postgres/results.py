"""Results and questions on their way to whoever asked: taken, sent, ticked off.

In: rows of `deliveries`, written with the end of a run or the beginning of a wait. Out: what to send.
"""

from collections.abc import Sequence
from typing import Any

from baton import ids
from baton.journal import stored
from baton.journal.messages import DueResult
from baton.journal.postgres import reading, rows
from baton.journal.postgres.transaction import Transaction
from baton.request import Result

_TICK = "UPDATE deliveries SET status = $2 WHERE delivery_id = ANY ($1) AND status = 'pending'"


async def due(tx: Transaction, limit: int, retry_s: float) -> list[DueResult]:
    """Take what is to be sent; what is not ticked off in `retry_s` seconds is due again."""
    taken = await tx.all(
        # Materialized: as a part of the join it could be done again for each row, and take more than the limit.
        "WITH q AS MATERIALIZED (SELECT delivery_id FROM deliveries WHERE status = 'pending' "
        "AND due_at <= (SELECT clock()) ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED) "
        "UPDATE deliveries d SET due_at = clock() + $2 FROM q, runs r "
        "WHERE d.delivery_id = q.delivery_id AND r.run_id = d.run_id "
        "RETURNING d.*, r.traceparent, r.tracestate",
        limit,
        retry_s,
    )
    if not taken:
        return []
    results = await reading.results(tx, sorted({row["run_id"] for row in taken}))
    moot = [row["delivery_id"] for row in taken if _is_moot(row, results.get(row["run_id"]))]
    if moot:
        await tx.run(_TICK, sorted(moot), "moot")
    return [_due(row, results[row["run_id"]]) for row in taken if row["delivery_id"] not in moot]


async def sent(tx: Transaction, delivery_ids: Sequence[str]) -> None:
    """Tick off what was sent."""
    await tx.run(_TICK, sorted(delivery_ids), "sent")


async def undeliverable(tx: Transaction, delivery_id: str) -> None:
    """Tick off what has nowhere to go, and say so in the run's timeline."""
    row = await tx.one("SELECT run_id, reply_to FROM deliveries WHERE delivery_id = $1", delivery_id)
    if row is None:
        return
    await tx.lock([row["run_id"]])
    if await tx.run(_TICK, [delivery_id], "undeliverable"):
        await rows.add_events(tx, row["run_id"], [stored.undeliverable(row["reply_to"])])


def _is_moot(row: Any, result: Result | None) -> bool:
    """Return True for a question that is answered or whose time is over, and for a run that is gone."""
    if result is None:
        return True
    return row["wait_id"] is not None and (result.question is None or result.question.wait_id != row["wait_id"])


def _due(row: Any, result: Result) -> DueResult:
    return DueResult(
        row["delivery_id"],
        row["reply_to"],
        row["correlation_id"] or None,
        ids.result_id(row["run_id"], row["wait_id"]),
        result,
        row["traceparent"],
        row["tracestate"],
    )
