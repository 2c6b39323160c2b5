"""Whose turn it is: a tenant with as many runs under way as it may have waits, and others do not.

In: a run that was just accepted, or room that has come. Out: a hop 0 that is not due until its run is admitted.
"""

import math
from itertools import chain, zip_longest
from typing import Any

from baton.journal import stored
from baton.journal.records import Accept, NewEvent, PendingHop
from baton.journal.sqlite import rows
from baton.journal.sqlite.writer import Transaction

# The index by its name: the planner might take one that reads every run there ever was.
_UNDER_WAY = "runs INDEXED BY runs_under_way WHERE status IN ('queued', 'running')"
_RUNNING = f"SELECT 1 FROM {_UNDER_WAY} AND status = 'running' AND tenant = ? LIMIT ?"
_WAITING = (
    f"SELECT * FROM (SELECT * FROM {_UNDER_WAY} AND status = 'queued' AND tenant = ?) AS runs WHERE EXISTS "
    "(SELECT 1 FROM hops WHERE hops.run_id = runs.run_id AND seq = 0 AND hops.status = 'pending' AND due_at = ?) "
    "ORDER BY run_id LIMIT ?"
)


def waits(tx: Transaction, command: Accept) -> bool:
    """Let a run that was just accepted wait if its tenant has no room; False: it may begin."""
    limit = command.tenant_running
    if limit is None:
        return False
    if not tx.one(_WAITING, command.tenant, math.inf, 1) and _room(tx, command.tenant, limit):
        tx.run("UPDATE runs SET status = 'running' WHERE run_id = ?", command.run_id)
        return False
    tx.run("UPDATE hops SET due_at = ? WHERE run_id = ? AND seq = 0", math.inf, command.run_id)
    rows.add_events(tx, command.run_id, [NewEvent("queued", 0, {"tenant_running": limit})])
    return True


def admit(tx: Transaction, tenant_running: int) -> list[PendingHop]:
    """See `Journal.admit`."""
    tenants = tx.all(f"SELECT DISTINCT tenant FROM {_UNDER_WAY} AND status = 'queued' ORDER BY tenant")
    found = [tx.all(_WAITING, tenant, math.inf, _room(tx, tenant, tenant_running)) for (tenant,) in tenants]
    in_turn = chain.from_iterable(zip_longest(*found))
    return [_admitted(tx, run) for run in in_turn if run is not None]


def _room(tx: Transaction, tenant: str, limit: int) -> int:
    return limit - len(tx.all(_RUNNING, tenant, limit))


def _admitted(tx: Transaction, run: Any) -> PendingHop:
    tx.run("UPDATE runs SET status = 'running' WHERE run_id = ?", run["run_id"])
    rows.add_events(tx, run["run_id"], [NewEvent("admitted", 0)])
    hop = tx.one(
        "UPDATE hops SET due_at = ?, pending_since = ? WHERE run_id = ? AND seq = 0 RETURNING *",
        tx.now,
        tx.now,
        run["run_id"],
    )
    return stored.pending(run, hop)
