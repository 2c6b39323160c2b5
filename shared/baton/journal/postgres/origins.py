"""How a command that comes again is known, and where its results go.

In: the origin of a request, reply or cancel. Out: rows of `accepted`, `redeliveries` and `addresses`,
written in the transaction that carries the command out.
"""

from baton.errors import IdempotencyConflictError
from baton.journal.marks import Mark, Took
from baton.journal.postgres import rows
from baton.journal.postgres.transaction import Transaction
from baton.journal.records import REDELIVERY_S, Origin


async def known(tx: Transaction, origin: Origin, mark: Mark) -> Took | None:
    """Return what this command became before; None: it is new.

    Raises:
        IdempotencyConflictError: The key is known with another body.
    """
    row = await tx.one("SELECT * FROM accepted WHERE tenant = $1 AND key = $2", mark.tenant, mark.key)
    if row is not None:
        if row["body_hash"] != mark.body_hash:
            raise IdempotencyConflictError(mark.key)
        return Took(row["took"], row["run_id"], row["wait_id"])
    if origin.key is not None or origin.redelivery_key is None or not origin.is_redelivered:
        return None
    row = await tx.one(
        "SELECT took, run_id FROM redeliveries WHERE tenant = $1 AND hash = $2 AND accepted_at > (SELECT clock()) - $3",
        mark.tenant,
        origin.redelivery_key,
        REDELIVERY_S,
    )
    return None if row is None else Took(row["took"], row["run_id"])


async def remember(tx: Transaction, origin: Origin, mark: Mark, took: Took) -> None:
    """Record what the command became, under its key, or under its hash if it has none.

    A key that another transaction records at the same time makes this one begin anew, and find it.
    """
    if origin.key is not None or took.took == "reply":
        await tx.run("INSERT INTO accepted VALUES ($1, $2, $3, $4, $5, $6, $7)", *mark, *took, tx.now)
    if origin.key is None and origin.redelivery_key is not None:
        await tx.run(
            "INSERT INTO redeliveries VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant, hash) DO UPDATE SET "
            "took = excluded.took, run_id = excluded.run_id, accepted_at = excluded.accepted_at",
            mark.tenant,
            origin.redelivery_key,
            took.took,
            took.run_id,
            tx.now,
        )


async def add_address(tx: Transaction, run_id: str, origin: Origin) -> None:
    """Add where the run's results go; one that comes after the end, or while the run asks, is answered at once.

    The run's row is locked: it does not end meanwhile.
    """
    if origin.reply_to is None:
        return
    added = await tx.run(
        "INSERT INTO addresses VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        run_id,
        origin.reply_to,
        origin.correlation_id or "",
    )
    if not added:
        return
    sql = "SELECT wait_id FROM waits WHERE run_id = $1 AND status = 'waiting' AND kind = 'user'"
    if (wait_id := await tx.value(sql, run_id)) is not None:
        await rows.deliver(tx, run_id, wait_id)
    elif await tx.value("SELECT ended_at IS NOT NULL FROM runs WHERE run_id = $1", run_id):
        await rows.deliver(tx, run_id, None)


async def forget(tx: Transaction) -> None:
    """Delete hashes that are too old to be looked up."""
    await tx.run("DELETE FROM redeliveries WHERE accepted_at < (SELECT clock()) - $1", REDELIVERY_S)
