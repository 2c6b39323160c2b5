"""Looks at many runs in one call: how they stand, for all who wait for their results.

In: run ids. Out: statuses and results. A name that is no run's id is left to `reading`.
"""

from collections.abc import Sequence
from typing import Any

from baton.journal.postgres import reading
from baton.journal.postgres.connecting import Connection
from baton.journal.postgres.lanes import SLOW, Kind, Order, Slow
from baton.request import Result, RunStatus


def _columns(run_id: str) -> str:
    reading.check_text(run_id)
    return run_id


async def _read_status(
    _: Connection, batch: Sequence[Order[str, RunStatus]], found: list[Any]
) -> list[RunStatus | Slow]:
    statuses: dict[str, RunStatus] = {row["run_id"]: row["status"] for row in found}
    return [statuses.get(order.command, SLOW) for order in batch]


async def _read_result(_: Connection, batch: Sequence[Order[str, Result]], found: list[Any]) -> list[Result | Slow]:
    results = {row["run_id"]: reading.result_of(row) for row in found}
    return [results.get(order.command, SLOW) for order in batch]


STATUS: Kind[str, RunStatus] = Kind(
    sql="SELECT run_id, status FROM runs WHERE run_id = ANY ($1::text[])",
    columns=_columns,
    order=lambda run_id: run_id,
    rivals=lambda run_id: (),
    arguments=lambda run_ids: (run_ids,),
    read=_read_status,
    alone=lambda run_id: lambda tx: reading.status(tx, run_id),
    is_read=True,
)
"""How runs stand, in a word."""

RESULT: Kind[str, Result] = Kind(
    sql=reading.RESULTS,
    columns=_columns,
    order=lambda run_id: run_id,
    rivals=lambda run_id: (),
    arguments=lambda run_ids: (run_ids,),
    read=_read_result,
    alone=lambda run_id: lambda tx: reading.result(tx, run_id),
    is_read=True,
)
"""How runs stand, in full."""
