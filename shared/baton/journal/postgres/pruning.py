"""Retention: runs that ended long ago go, their idempotency keys stay.

In: an age. Out: how many runs went. A conversation's messages go with its last run.
"""

from baton.journal.postgres.transaction import Transaction

BATCH = 500
"""Runs deleted in one transaction; its locks are held for a moment only."""
_OF_A_RUN = ("hops", "steps", "events", "waits", "deliveries", "addresses", "labels")


async def count(tx: Transaction, older_than_s: float) -> int:
    """Return how many runs ended so long ago."""
    return int(await tx.value("SELECT count(*) FROM runs WHERE ended_at < (SELECT clock()) - $1", older_than_s))


def next_batch(limit: int | None, done: int) -> int:
    """Return how many runs to delete next, 0 when that is enough.

    Args:
        limit: Most runs to delete; None: no limit.
        done: How many went so far.
    """
    return BATCH if limit is None else max(0, min(BATCH, limit - done))


async def prune(tx: Transaction, older_than_s: float, size: int) -> int:
    """Delete up to `size` runs that ended so long ago; return how many went."""
    old = await tx.all(
        "SELECT run_id FROM runs WHERE ended_at < (SELECT clock()) - $1 ORDER BY ended_at LIMIT $2", older_than_s, size
    )
    run_ids = [row["run_id"] for row in old]
    await tx.lock(run_ids)
    gone = await tx.all("DELETE FROM runs WHERE run_id = ANY ($1) RETURNING run_id, tenant, conversation_id", run_ids)
    run_ids = [row["run_id"] for row in gone]
    for table in _OF_A_RUN:
        await tx.run(f"DELETE FROM {table} WHERE run_id = ANY ($1)", run_ids)
    talks = sorted({(row["tenant"], row["conversation_id"]) for row in gone})
    empty = await tx.all(
        "DELETE FROM conversations c USING unnest($1::text[], $2::text[]) AS t (tenant, id) "
        "WHERE c.tenant = t.tenant AND c.conversation_id = t.id AND NOT EXISTS "
        "(SELECT 1 FROM runs r WHERE r.tenant = c.tenant AND r.conversation_id = c.conversation_id) "
        "RETURNING c.tenant, c.conversation_id",
        [tenant for tenant, _ in talks],
        [conversation_id for _, conversation_id in talks],
    )
    await tx.run(
        "DELETE FROM messages m USING unnest($1::text[], $2::text[]) AS t (tenant, id) "
        "WHERE m.tenant = t.tenant AND m.conversation_id = t.id",
        [row["tenant"] for row in empty],
        [row["conversation_id"] for row in empty],
    )
    return len(gone)
