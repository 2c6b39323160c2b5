"""The cost of a hop does not grow with what the journal already holds, nor with what waits in it."""

import pytest

from baton.errors import PermanentError
from baton.journal.postgres.journal import PostgresJournal
from baton.journal.views import DecisionFilter
from tests.support.journals import Hand, a_step
from tests.support.pgjournal import PostgresHarness

SMALL = {"agents", "meta", "quarantine", "alembic_version", "replicas"}
"""Tables that may be read whole."""

FILL = """
INSERT INTO conversations (tenant, conversation_id, facts, next_position, log_length, holder_run)
SELECT 'default', 'old' || n, '{}', 1, 2, CASE WHEN n % 100 = 0 THEN to_char(n, 'FM0000000') || repeat('0', 25) END
FROM generate_series(1, $1) AS g (n);
INSERT INTO runs (run_id, tenant, conversation_id, position, status, request, text_position, max_hops, root_run_id,
    trace_id, last_event, result, accepted_at, ended_at)
SELECT to_char(n, 'FM0000000') || repeat('0', 25), 'default', 'old' || n, 0,
    CASE WHEN n % 100 = 0 THEN 'running' ELSE 'completed' END, '{}', 0, 16, '', '', 3, '{}', clock(),
    CASE WHEN n % 100 <> 0 THEN clock() END
FROM generate_series(1, $1) AS g (n);
INSERT INTO hops (run_id, seq, agent, kind, status, due_at, pending_since, head, digest, ended_at)
SELECT to_char(n, 'FM0000000') || repeat('0', 25), seq, CASE seq WHEN 0 THEN 'router' ELSE 'a' END, 'handoff',
    CASE WHEN n % 100 = 0 AND seq = 1 THEN 'pending' ELSE 'done' END, clock(), clock(), '{}', '', clock()
FROM generate_series(1, $1) AS g (n), generate_series(0, 1) AS s (seq);
INSERT INTO events SELECT to_char(n, 'FM0000000') || repeat('0', 25), number, clock(), 0, 'handoff', '{}'
FROM generate_series(1, $1) AS g (n), generate_series(1, 3) AS s (number);
INSERT INTO messages SELECT 'default', 'old' || n, position, '', 0, 'user', NULL, 'text', NULL, clock()
FROM generate_series(1, $1) AS g (n), generate_series(0, 1) AS s (position);
INSERT INTO accepted SELECT 'default', 'old' || n, '', 'run', '', NULL, clock() FROM generate_series(1, $1) AS g (n);
INSERT INTO deliveries (delivery_id, run_id, reply_to, correlation_id, status, due_at)
SELECT 'old' || n, to_char(n, 'FM0000000') || repeat('0', 25), 'q', '', 'sent', clock()
FROM generate_series(1, $1) AS g (n);
"""
"""Runs that ended, and of each hundred one whose hop waits for the broker to deliver it."""


async def fill(harness: PostgresHarness, count: int) -> None:
    for statement in FILL.strip().split(";\n"):
        await harness.aside(statement.strip(";\n").replace("$1", str(count)))


async def everything(hand: Hand, number: int) -> None:
    """Do once all that runs and their keepers do."""
    one = await hand.at("b", conversation_id=f"c{number}", key=f"k{number}", reply_to="q", deadline_s=600)
    await hand.journal.record(one.lease, a_step(one))
    await hand.journal.renew([one.lease], 30.0)
    follower = await hand.accept("two", conversation_id=f"c{number}")
    await hand.hand(one, "c")
    await hand.answer(await hand.take(one.lease.run_id, 2, "c"))
    asked = await hand.at("b", reply_to="q")
    await hand.ask(asked)
    await hand.reply(asked.lease.run_id, "yes", key=f"r{number}")
    await hand.fail(await hand.take(asked.lease.run_id, 2, "b"), PermanentError("no"))
    approving = await hand.at("b")
    await hand.approve(approving)
    await hand.reply(approving.lease.run_id, decision="approve")
    await hand.hand_back(await hand.take(approving.lease.run_id, 1, "b"))
    for claim in [*await hand.poll("b"), *await hand.poll("router", overdue_s=0.0)]:
        await (hand.routed_by(claim, "b") if claim.agent == "router" else hand.answer(claim))
    assert await hand.poll("a") == []
    await hand.cancel(follower.run_id)
    await hand.journal.sweep()
    await hand.journal.sent([due.delivery_id for due in await hand.due()])
    await hand.redrive(asked.lease.run_id)
    await hand.dead(limit=5)
    await hand.journal.status(one.lease.run_id)
    await hand.journal.result(one.lease.run_id)
    await hand.journal.history("default", f"c{number}")
    await hand.journal.beat(f"w{number}", ["a", "b"])
    await hand.journal.label(one.lease.run_id, "human", by="ann")
    await hand.journal.label_of(one.lease.run_id)
    await hand.journal.registry()
    for is_labelled in (False, True):
        await hand.journal.decisions(DecisionFilter(after=one.lease.run_id, is_labelled=is_labelled))


async def read_by(url: str, harness: PostgresHarness, numbers: range) -> tuple[int, dict[str, int]]:
    """Return how many rows and index entries some work reads, and which tables it reads whole."""
    await harness.aside("SELECT pg_stat_force_next_flush()")
    before = await counts(harness)
    journal = PostgresJournal(url)
    await journal.start(serves=True)
    hand = Hand(harness, "w1", journal)
    for number in numbers:
        await everything(hand, number)
    await journal.close()
    after = await counts(harness)
    scans = {name: after[1][name] - before[1][name] for name in after[1] if after[1][name] > before[1][name]}
    return after[0] - before[0], scans


async def counts(harness: PostgresHarness) -> tuple[int, dict[str, int]]:
    await harness.aside("SELECT pg_stat_clear_snapshot()")
    tables = await harness.aside(
        "SELECT relname, seq_scan, seq_tup_read + coalesce(idx_tup_fetch, 0) AS read FROM pg_stat_user_tables "
        "WHERE schemaname = current_schema()"
    )
    [indexes] = await harness.aside(
        "SELECT coalesce(sum(idx_tup_read), 0)::bigint AS read FROM pg_stat_user_indexes "
        "WHERE schemaname = current_schema()"
    )
    scans = {row["relname"]: row["seq_scan"] for row in tables if row["relname"] not in SMALL}
    return sum(row["read"] for row in tables) + indexes["read"], scans


@pytest.mark.parametrize("is_analyzed", [False, True])
async def test_nothing_is_read_that_an_empty_journal_would_not_read(postgres_url: str, is_analyzed: bool) -> None:
    harness = PostgresHarness(postgres_url)
    await harness.start()
    empty, scans = await read_by(postgres_url, harness, range(5))
    assert scans == {}
    await fill(harness, 20_000)
    if is_analyzed:
        await harness.aside("ANALYZE")
    full, scans = await read_by(postgres_url, harness, range(5, 10))
    assert scans == {}
    assert full < empty * 1.3 + 500, f"{empty} rows read in an empty journal, {full} in a full one"
    await harness.close()
