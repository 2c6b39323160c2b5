"""Results and questions on their way to whoever asked: taken, sent, ticked off.

In: rows of `deliveries`, written with the end of a run or the beginning of a wait. Out: what to send.
"""

from collections.abc import Sequence

from baton import ids
from baton.journal import stored
from baton.journal.messages import DueResult
from baton.journal.sqlite import reading, rows
from baton.journal.sqlite.writer import Transaction


def due(tx: Transaction, limit: int, retry_s: float) -> list[DueResult]:
    """Take what is to be sent; what is not ticked off in `retry_s` seconds is due again."""
    found = []
    for row in tx.all(
        "UPDATE deliveries SET due_at = ? WHERE delivery_id IN (SELECT delivery_id FROM deliveries "
        "WHERE status = 'pending' AND due_at <= ? ORDER BY due_at LIMIT ?) RETURNING *",
        tx.now + retry_s,
        tx.now,
        limit,
    ):
        result = reading.result(tx, row["run_id"])
        if row["wait_id"] is not None and (result.question is None or result.question.wait_id != row["wait_id"]):
            _tick_off(tx, row["delivery_id"], "moot")  # the question is answered, or its time is over
            continue
        trace = tx.one("SELECT traceparent, tracestate FROM runs WHERE run_id = ?", row["run_id"])
        found.append(
            DueResult(
                row["delivery_id"],
                row["reply_to"],
                row["correlation_id"] or None,
                ids.result_id(row["run_id"], row["wait_id"]),
                result,
                *trace,
            )
        )
    return found


def sent(tx: Transaction, delivery_ids: Sequence[str], undeliverable: Sequence[str]) -> None:
    """Tick off what was sent, and what has nowhere to go."""
    for delivery_id in delivery_ids:
        _tick_off(tx, delivery_id, "sent")
    for delivery_id in undeliverable:
        row = tx.one("SELECT run_id, reply_to FROM deliveries WHERE delivery_id = ?", delivery_id)
        if row is not None and _tick_off(tx, delivery_id, "undeliverable"):
            rows.add_events(tx, row["run_id"], [stored.undeliverable(row["reply_to"])])


def _tick_off(tx: Transaction, delivery_id: str, status: str) -> int:
    return tx.run("UPDATE deliveries SET status = ? WHERE delivery_id = ? AND status = 'pending'", status, delivery_id)
