"""How a command that comes again is known, and where its results go.

In: the origin of a request, reply or cancel. Out: rows of `accepted`, `redeliveries` and `addresses`,
written in the transaction that carries the command out.
"""

from baton.errors import IdempotencyConflictError
from baton.journal.marks import Mark, Took
from baton.journal.records import REDELIVERY_S, Origin
from baton.journal.sqlite import rows
from baton.journal.sqlite.writer import Transaction


def known(tx: Transaction, origin: Origin, mark: Mark) -> Took | None:
    """Return what this command became before; None: it is new.

    Raises:
        IdempotencyConflictError: The key is known with another body.
    """
    row = tx.one("SELECT * FROM accepted WHERE tenant = ? AND key = ?", mark.tenant, mark.key)
    if row is not None:
        if row["body_hash"] != mark.body_hash:
            raise IdempotencyConflictError(mark.key)
        return Took(row["took"], row["run_id"], row["wait_id"])
    if origin.key is not None or origin.redelivery_key is None or not origin.is_redelivered:
        return None
    row = tx.one(
        "SELECT took, run_id FROM redeliveries WHERE tenant = ? AND hash = ? AND accepted_at > ?",
        mark.tenant,
        origin.redelivery_key,
        tx.now - REDELIVERY_S,
    )
    return None if row is None else Took(row["took"], row["run_id"])


def remember(tx: Transaction, origin: Origin, mark: Mark, took: Took) -> None:
    """Record what the command became, under its key, or under its hash if it has none."""
    if origin.key is not None or took.took == "reply":
        tx.run("INSERT INTO accepted VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", *mark, *took, tx.now)
    if origin.key is None and origin.redelivery_key is not None:
        tx.run(
            "INSERT INTO redeliveries VALUES (?, ?, ?, ?, ?) ON CONFLICT (tenant, hash) DO UPDATE SET "
            "took = excluded.took, run_id = excluded.run_id, accepted_at = excluded.accepted_at",
            mark.tenant,
            origin.redelivery_key,
            took.took,
            took.run_id,
            tx.now,
        )


def add_address(tx: Transaction, run_id: str, origin: Origin) -> None:
    """Add where the run's results go; one that comes after the end, or while the run asks, is answered at once."""
    if origin.reply_to is None:
        return
    added = tx.run(
        "INSERT OR IGNORE INTO addresses VALUES (?, ?, ?)", run_id, origin.reply_to, origin.correlation_id or ""
    )
    if not added:
        return
    asks = tx.one("SELECT wait_id FROM waits WHERE run_id = ? AND status = 'waiting' AND kind = 'user'", run_id)
    if asks:
        rows.deliver(tx, run_id, asks["wait_id"])
    elif tx.one(f"SELECT 1 FROM runs WHERE run_id = ? AND status NOT IN {rows.OPEN}", run_id):
        rows.deliver(tx, run_id, None)


def forget(tx: Transaction) -> None:
    """Delete hashes that are too old to be looked up."""
    tx.run("DELETE FROM redeliveries WHERE accepted_at < ?", tx.now - REDELIVERY_S)
