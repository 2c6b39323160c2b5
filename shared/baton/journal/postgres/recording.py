"""Steps recorded and leases renewed, many in one call.

In: steps and leases, each with its token. Out: which of them were still good.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from baton.journal.postgres import claiming
from baton.journal.postgres.connecting import Connection
from baton.journal.postgres.lanes import Kind, Order
from baton.journal.postgres.transaction import Operation, Transaction
from baton.journal.records import Lease, Renewed, Step


class Recording(NamedTuple):
    """A step to record under a lease."""

    lease: Lease
    step: Step


class Renewal(NamedTuple):
    """Leases to prolong."""

    leases: tuple[Lease, ...]
    lease_s: float


def _columns(recording: Recording) -> tuple[object, ...]:
    lease, step = recording
    return (
        lease.run_id,
        lease.seq,
        lease.token,
        step.scope,
        step.key,
        step.status,
        step.seq,
        step.attempt,
        step.effect,
        step.input_sha,
        step.idempotency_key,
        step.result,
        step.started_at or None,
        step.ended_at,
    )


async def _read(_: Connection, batch: Sequence[Order[Recording, bool]], found: list[Any]) -> list[bool]:
    recorded = {row["item"] - 1 for row in found}
    return [number in recorded for number in range(len(batch))]


RECORD: Kind[Recording, bool] = Kind(
    sql=f"SELECT * FROM record_steps({', '.join(f'${n}' for n in range(1, 15))})",
    columns=_columns,
    order=lambda one: (one.lease.run_id, one.lease.seq),
    rivals=lambda one: ((one.lease.run_id, one.step.scope, one.step.key),),
    arguments=lambda columns: list(zip(*columns, strict=True)),
    read=_read,
    alone=lambda one: lambda tx: claiming.record(tx, *one),
)
"""Record steps, each once."""


def _renew_columns(renewal: Renewal) -> list[tuple[object, ...]]:
    leases = sorted(set(renewal.leases), key=lambda lease: (lease.run_id, lease.seq, lease.token))
    return [(lease.run_id, lease.seq, lease.token, renewal.lease_s) for lease in leases]


def _renew_arguments(columns: Sequence[Any]) -> list[object]:
    [renewal] = columns
    return list(zip(*renewal, strict=True))


async def _read_renewed(_: Connection, batch: Sequence[Order[Renewal, Renewed]], found: list[Any]) -> list[Renewed]:
    [order] = batch
    return [_renewed(order.columns, found)]


def _renewed(columns: list[tuple[Any, ...]], found: list[Any]) -> Renewed:
    held = {row["item"] - 1: row["has_to_stop"] for row in found}
    leases = {Lease(*columns[number][:3]): has_to_stop for number, has_to_stop in held.items()}
    return Renewed(frozenset(leases), frozenset(lease.run_id for lease, has_to_stop in leases.items() if has_to_stop))


_RENEW = "SELECT * FROM renew_leases($1, $2, $3, $4)"


def _renew_alone(renewal: Renewal) -> Operation[Renewed]:
    async def renew(tx: Transaction) -> Renewed:
        columns = _renew_columns(renewal)
        return _renewed(columns, await tx.all(_RENEW, *_renew_arguments([columns])))

    return renew


RENEW: Kind[Renewal, Renewed] = Kind(
    sql=_RENEW,
    columns=_renew_columns,
    order=lambda _: 0,
    rivals=lambda _: ("one call each",),
    arguments=_renew_arguments,
    read=_read_renewed,
    alone=_renew_alone,
)
"""Prolong the leases of a process; it does so in one go already."""
