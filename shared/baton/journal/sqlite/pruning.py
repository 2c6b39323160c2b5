"""Retention: runs that ended long ago go, their idempotency keys stay.

In: an age. Out: how many runs went. A conversation's messages go with its last run.
"""

from baton.journal.sqlite.writer import Transaction

BATCH = 500
"""Runs deleted in one transaction; keeps the writer free for hops in between."""
_OF_A_RUN = ("hops", "steps", "events", "waits", "deliveries", "addresses", "labels")


def count(tx: Transaction, older_than_s: float) -> int:
    """Return how many runs ended so long ago."""
    return int(tx.one("SELECT count(*) FROM runs WHERE ended_at < ?", tx.now - older_than_s)[0])


def next_batch(limit: int | None, done: int) -> int:
    """Return how many runs to delete next, 0 when that is enough.

    Args:
        limit: Most runs to delete; None: no limit.
        done: How many went so far.
    """
    return BATCH if limit is None else max(0, min(BATCH, limit - done))


def prune(tx: Transaction, older_than_s: float, size: int = BATCH) -> int:
    """Delete up to `size` runs that ended so long ago; return how many went."""
    gone = tx.all(
        "SELECT run_id, tenant, conversation_id FROM runs WHERE ended_at < ? LIMIT ?",
        tx.now - older_than_s,
        size,
    )
    for run_id, tenant, conversation_id in gone:
        for table in _OF_A_RUN:
            tx.run(f"DELETE FROM {table} WHERE run_id = ?", run_id)
        tx.run("DELETE FROM runs WHERE run_id = ?", run_id)
        if not tx.one("SELECT 1 FROM runs WHERE tenant = ? AND conversation_id = ?", tenant, conversation_id):
            for table in ("messages", "conversations"):
                tx.run(f"DELETE FROM {table} WHERE tenant = ? AND conversation_id = ?", tenant, conversation_id)
    return len(gone)
