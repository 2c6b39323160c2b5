"""Whose turn it is: a tenant with as many runs under way as it may have waits, and others do not.

In: a run that was just accepted, or room that has come. Out: a hop 0 that is not due until its run is admitted.
"""

from baton.journal.postgres import rows
from baton.journal.postgres.transaction import Transaction
from baton.journal.records import Accept, NewEvent, PendingHop
from baton.protocol.guards import ROUTER


async def waits(tx: Transaction, command: Accept) -> bool:
    """Let a run that was just accepted wait if its tenant has no room; False: it may begin."""
    limit = command.tenant_running
    if limit is None:
        return False
    if await tx.value("SELECT room_of($1, $2)", command.tenant, limit):
        await tx.run("UPDATE runs SET status = 'running' WHERE run_id = $1", command.run_id)
        return False
    await tx.run("UPDATE hops SET due_at = 'infinity' WHERE run_id = $1 AND seq = 0", command.run_id)
    await rows.add_events(tx, command.run_id, [NewEvent("queued", 0, {"tenant_running": limit})])
    return True


async def admit(tx: Transaction, tenant_running: int) -> list[PendingHop]:
    """See `Journal.admit`."""
    found = await tx.all("SELECT * FROM admit_runs($1)", tenant_running)
    return [
        PendingHop(
            row["run_id"],
            0,
            ROUTER,
            tenant=row["tenant"],
            traceparent=row["traceparent"],
            tracestate=row["tracestate"],
        )
        for row in found
    ]
