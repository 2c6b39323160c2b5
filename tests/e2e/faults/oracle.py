"""What must hold after any fault, read from the journal and the ledger when all should be over.

In: the orders that the broker confirmed, and when what was done to the system. Out: a `Verdict`, which names every
run that breaks the guarantee. The same for all faults.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from baton.request import ENDED
from tests.e2e.faults.load import Driver, Order
from tests.e2e.faults.site import Site
from tests.support.waiting import until

LATE_S = 5.0
"""A result that comes later than this after its run's end is counted as late, in seconds."""
_RUNS = """
SELECT a.key, r.run_id, r.status, r.error, r.accepted_at, r.ended_at, (
    SELECT w.kind FROM waits w WHERE w.run_id = r.run_id AND w.status = 'waiting' LIMIT 1) AS waits_for, (
    SELECT count(*) FROM events e WHERE e.run_id = r.run_id
    AND e.type IN ('answer', 'completed', 'failed', 'cancelled')) AS ends, (
    SELECT max(h.attempt) FROM hops h WHERE h.run_id = r.run_id) AS attempts, (
    SELECT count(*) FROM hops h WHERE h.run_id = r.run_id AND h.status NOT IN ('done', 'failed')) AS open_hops
FROM runs r LEFT JOIN accepted a ON a.run_id = r.run_id AND a.took = 'run'
"""
_TWICE = """
SELECT run_id, seq, count(*) FROM events
WHERE type IN ('handoff', 'answer', 'ask', 'stopped') GROUP BY run_id, seq HAVING count(*) > 1
"""
_EFFECTS = "SELECT run_id, place, key, count(*) AS keys, sum(tries) AS tries FROM ledger_effects GROUP BY 1, 2, 3"
_REPEATED = "SELECT run_id, seq, key FROM ledger_calls WHERE was_recorded"
_UNSAFE = "SELECT run_id, place, count(*) FROM ledger_calls WHERE key = 'notify' GROUP BY 1, 2 HAVING count(*) > 1"


@dataclass
class Verdict:
    """What came of it all. `problems` is empty where every guarantee held."""

    runs: int = 0
    """Runs that the journal accepted."""
    lost: list[str] = field(default_factory=list)
    """Confirmed orders without a run, runs without an end, ends without a result; a sentence each."""
    doubled: list[str] = field(default_factory=list)
    """Second runs, ends, hops, effects, and repeated steps; a sentence each."""
    wrong: list[str] = field(default_factory=list)
    """Runs that ended otherwise than they should; a sentence each."""
    statuses: Counter[str] = field(default_factory=Counter)
    """Runs by status."""
    late: int = 0
    """Results that came more than `LATE_S` after their run's end."""
    latest_s: float = 0.0
    """The longest time from a run's end to its result, in seconds."""
    copies: int = 0
    """Results that came once more than needed; allowed."""
    retried: int = 0
    """Effects that were asked for more than once under the same key; allowed."""
    most_attempts: int = 0
    """Of any hop."""
    took_s: list[float] = field(default_factory=list)
    """For each ended run: from acceptance to its end, in seconds."""
    recoveries_s: list[float] = field(default_factory=list)
    """For each fault: how long after it the last run that was in flight ended, in seconds."""
    notes: dict[str, float | int | str] = field(default_factory=dict)
    """What else this fault measured."""

    @property
    def problems(self) -> list[str]:
        """All that breaks the guarantee."""
        return [*self.lost, *self.doubled, *self.wrong]

    def check(self, logs: str = "") -> "Verdict":
        """Return this verdict if nothing is wrong.

        Raises:
            AssertionError: Says all that is.
        """
        assert not self.problems, "\n".join([*self.problems, str(self), logs])
        return self

    def __str__(self) -> str:
        counted = ", ".join(f"{count} {status}" for status, count in sorted(self.statuses.items()))
        return (
            f"{self.runs} runs ({counted}); lost {len(self.lost)}, doubled {len(self.doubled)}, "
            f"wrong {len(self.wrong)}, late {self.late} (at most {self.latest_s:.1f} s), copies {self.copies}, "
            f"effects retried {self.retried}, most attempts {self.most_attempts}"
        )


async def judge(
    site: Site, drivers: Iterable[Driver], *, faults: Iterable[float] = (), deadline_s: float | None = None
) -> Verdict:
    """Wait until all is over, at most `deadline_s` seconds, and tell how it is then.

    Call it after the last fault, with every service started again.

    Args:
        site: Where; the journal must hold no runs but those of these drivers.
        drivers: All who sent anything.
        faults: When the faults happened, as Unix times.
        deadline_s: Seconds; None: a lease, a poll and 30 s.
    """
    drivers = list(drivers)
    give_up_at = time.monotonic() + (site.deadline_s if deadline_s is None else deadline_s)
    connection = await asyncpg.connect(site.journal_url)
    try:
        await _settled(connection, drivers, give_up_at)
        return await _read(connection, drivers, list(faults))
    finally:
        await connection.close()


async def _settled(connection: asyncpg.Connection, drivers: list[Driver], give_up_at: float) -> None:
    """Return when every order has its final result or is parked as it may be, or at the deadline."""

    async def is_settled() -> bool:
        missing = {key: order for driver in drivers for key, order in driver.sent.items() if key not in driver.ended}
        if any(not order.parks for order in missing.values()):
            return False
        rows = await connection.fetch(_RUNS)
        by_key = {row["key"]: row for row in rows}
        is_parked = all(key in by_key and _is_parked(by_key[key], order) for key, order in missing.items())
        return is_parked and all(row["ended_at"] or row["key"] in missing for row in rows)

    try:
        await until(is_settled, timeout_s=max(0.0, give_up_at - time.monotonic()), what="all runs are over")
    except TimeoutError:
        return  # the verdict tells what is missing


async def _read(connection: asyncpg.Connection, drivers: list[Driver], faults: list[float]) -> Verdict:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        rows = await connection.fetch(_RUNS)
        twice, repeated = await connection.fetch(_TWICE), await connection.fetch(_REPEATED)
        effects, unsafe = await connection.fetch(_EFFECTS), await connection.fetch(_UNSAFE)
    verdict = Verdict(runs=len(rows), statuses=Counter(row["status"] for row in rows))
    verdict.took_s = [row["ended_at"] - row["accepted_at"] for row in rows if row["ended_at"]]
    verdict.most_attempts = max((row["attempts"] or 0 for row in rows), default=0)
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row["key"], []).append(row)
    paid = {(one["run_id"], one["place"]): one for one in effects}
    for driver in drivers:
        for order in driver.sent.values():
            _judge_order(verdict, order, found.get(order.key, []), driver, paid)
        verdict.copies += sum(count - 1 for count in driver.copies().values())
    for row in rows:
        _judge_run(verdict, row)
    verdict.doubled += [f"hop {run_id}/{seq} moved on {count} times" for run_id, seq, count in twice]
    verdict.doubled += [f"step {key!r} of {run_id}/{seq} was called once recorded" for run_id, seq, key in repeated]
    verdict.doubled += [f"{run_id} notified {count} times at place {place}" for run_id, place, count in unsafe]
    for one in effects:
        verdict.retried += one["tries"] > one["keys"]
        if one["keys"] > 1:
            verdict.doubled.append(f"{one['run_id']} had {one['keys']} effects {one['key']!r} at place {one['place']}")
    verdict.recoveries_s = [recovery_s(rows, at) for at in faults]
    return verdict


def _judge_order(
    verdict: Verdict, order: Order, runs: list[Any], driver: Driver, paid: Mapping[tuple[str, int], Any]
) -> None:
    """Add what is wrong with what became of one order."""
    if len(runs) != 1:
        told = f"order {order.key} ({order.text}) became {len(runs)} runs"
        (verdict.lost if not runs else verdict.doubled).append(told)
        return
    run = runs[0]
    if run["ended_at"] is None:
        if not _is_parked(run, order):
            waits = f", for {run['waits_for']}" if run["waits_for"] else ""
            verdict.lost.append(f"run {run['run_id']} ({order.text}) has not ended: {run['status']}{waits}")
        return
    if run["status"] not in order.ends:
        verdict.wrong.append(f"run {run['run_id']} ({order.text}) is {run['status']}: {(run['error'] or b'').decode()}")
    if run["status"] == "completed":
        missing = [place for place in range(1, order.places + 1) if (run["run_id"], place) not in paid]
        verdict.lost += [f"run {run['run_id']} ({order.text}) has no effect at place {place}" for place in missing]
    result = driver.ended.get(order.key)
    if result is None:
        verdict.lost.append(f"run {run['run_id']} ({order.text}) is {run['status']} and its result never came")
        return
    if (result.status, result.body["run_id"]) != (run["status"], run["run_id"]):
        verdict.wrong.append(f"run {run['run_id']} is {run['status']} and its result said {result.body}")
    took_s = result.at - run["ended_at"]
    verdict.latest_s = max(verdict.latest_s, took_s)
    verdict.late += took_s > LATE_S


def _judge_run(verdict: Verdict, run: Any) -> None:
    """Add what is wrong with the record of one run, whoever ordered it."""
    has_ended = run["status"] in ENDED
    if run["key"] is None:
        verdict.doubled.append(f"run {run['run_id']} is nobody's order")
    if run["ends"] != has_ended or has_ended != (run["ended_at"] is not None):
        verdict.doubled.append(f"run {run['run_id']} is {run['status']} and has {run['ends']} ends")
    if has_ended and run["open_hops"]:
        verdict.lost.append(f"run {run['run_id']} has ended with {run['open_hops']} open hops")


def _is_parked(run: Any, order: Order) -> bool:
    return run["ended_at"] is None and run["waits_for"] in order.parks


def recovery_s(runs: Iterable[Any], at: float) -> float:
    """Return how long after `at` the last run that was in flight then has ended, in seconds; 0: none was."""
    hit = [run["ended_at"] for run in runs if run["ended_at"] and run["accepted_at"] <= at < run["ended_at"]]
    return max(hit, default=at) - at
