"""Processes that write to one PostgreSQL journal at once: each sees what the other did, and none waits for ever."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable

import pytest

from baton.errors import JournalUnavailableError, NotFoundError, NotWaitingError, RequestError
from baton.journal.records import Claim
from baton.journal.views import RunFilter
from baton.outcome import Answer, Ask, Handoff
from tests.support.journal_checks import check
from tests.support.journals import Hand
from tests.support.pgjournal import PostgresHarness
from tests.support.pgload import check_all_done, send, working
from tests.support.waiting import until


@pytest.fixture
async def harness(postgres_url: str) -> AsyncIterator[PostgresHarness]:
    harness = PostgresHarness(postgres_url)
    await harness.start()
    yield harness
    await harness.close()


@pytest.fixture
async def hands(harness: PostgresHarness) -> tuple[Hand, Hand]:
    """Two processes' hands on the same journal."""
    return Hand(harness), Hand(harness, "w2", await harness.second())


async def after(looks: int, hand: Hand, run_id: str, work: Awaitable[object]) -> object:
    """Do `work` a little later: after so many looks into the journal, each a round trip."""
    for _ in range(looks):
        await hand.journal.status(run_id)
    return await work


async def test_a_run_accepted_while_the_one_before_ends_is_never_left_blocked(hands: tuple[Hand, Hand]) -> None:
    hand, other = hands
    for n in range(200):
        claim = await hand.at(conversation_id=f"c{n}")
        run_id = claim.lease.run_id
        finish = await hand.settled(claim, Answer("done"))
        await asyncio.gather(
            after(n % 11, hand, run_id, hand.journal.finish(finish)),
            after(n % 3, other, run_id, other.accept("next", conversation_id=f"c{n}")),
        )
        runs = await hand.journal.runs(RunFilter(conversation_id=f"c{n}"))
        [following] = [run.run_id for run in runs if run.run_id != run_id]
        assert (await hand.hop(following, 0)).status == "pending"


async def test_a_cancel_and_a_finish_at_once_have_one_outcome(hands: tuple[Hand, Hand]) -> None:
    hand, other = hands
    for n in range(100):
        claim = await hand.at(conversation_id=f"c{n % 3}")
        run_id = claim.lease.run_id
        finish = await hand.settled(claim, Answer("done") if n % 4 < 2 else Handoff("b"))
        racers = [hand.journal.finish(finish), other.cancel(run_id)]
        await asyncio.gather(*(racers if n % 2 else reversed(racers)))
        ends = [event.type for event in await hand.journal.events(run_id) if event.type in ("answer", "cancelled")]
        expected = [("completed", ["answer"])] if n % 4 < 2 else []
        assert (await hand.status(run_id), ends) in [*expected, ("cancelled", ["cancelled"])]


async def test_a_hop_claimed_and_polled_by_two_processes_has_one_owner(hands: tuple[Hand, Hand]) -> None:
    accepted = await asyncio.gather(*(hands[0].accept(f"text {n}") for n in range(100)))
    claims = await asyncio.gather(
        *(one.claim(run.run_id) for run in accepted for one in hands),
        *(one.poll("router", overdue_s=0.0, limit=30) for one in hands for _ in range(3)),
    )
    flat = [claim for found in claims for claim in (found if isinstance(found, list) else [found]) if claim]
    assert sorted(claim.lease.run_id for claim in flat) == sorted(run.run_id for run in accepted)
    assert {claim.attempt for claim in flat} == {1}


async def test_two_routers_tell_a_root_once(hands: tuple[Hand, Hand]) -> None:
    for _ in range(10):
        accepted = await asyncio.gather(*(hands[0].accept(f"text {n}") for n in range(10)))
        await asyncio.gather(*(hands[0].cancel(run.run_id) for run in accepted))
        sweeps = await asyncio.gather(*(one.journal.sweep() for one in hands))
        late = await hands[0].journal.sweep()  # what one sweep had locked, the other left
        told = [run_id for found in (*sweeps, late) for run_id in found.roots]
        assert sorted(told) == sorted(run.run_id for run in accepted)


async def test_a_claim_asked_for_again_is_the_same_claim(hands: tuple[Hand, Hand]) -> None:
    hand, other = hands
    accepted = await hand.accept()
    wish = hand.wish(accepted.run_id, 0, "router")
    first, again = await hand.journal.claim(wish), await hand.journal.claim(wish)
    assert first is not None
    assert again is not None
    assert (again.lease, again.attempt, again.head) == (first.lease, 1, first.head)
    assert await other.journal.claim(other.wish(accepted.run_id, 0, "router")) is None


async def test_a_poll_leaves_out_what_another_process_has_locked(
    harness: PostgresHarness, hands: tuple[Hand, Hand]
) -> None:
    locked, free = [await hands[0].accept(f"text {n}") for n in range(2)]
    async with harness.locking("SELECT 1 FROM runs WHERE run_id = $1 FOR UPDATE", locked.run_id):
        found = await asyncio.wait_for(hands[1].poll("router", overdue_s=0.0), 5)
        assert [claim.lease.run_id for claim in found] == [free.run_id]
    assert len(await hands[1].poll("router", overdue_s=0.0)) == 1


async def test_two_processes_work_through_many_runs_and_conversations(
    harness: PostgresHarness, hands: tuple[Hand, Hand]
) -> None:
    async with working(hands):
        await asyncio.gather(*(send(hands[n % 2], f"text {n}", f"c{n % 40}" if n % 3 else None) for n in range(300)))
        await until(lambda: _all_ended(harness), timeout_s=60)
    check_all_done(await harness.rows(), 300)


async def test_the_same_message_three_times_is_one_run_wherever_it_arrives(
    harness: PostgresHarness, hands: tuple[Hand, Hand]
) -> None:
    wanted = [f"text {n}" for n in range(100)] * 3
    random.Random(7).shuffle(wanted)
    run_ids = await asyncio.gather(*(send(hands[n % 2], text) for n, text in enumerate(wanted)))
    assert len(set(run_ids)) == 100
    rows = await harness.rows()
    check(rows)
    assert len(rows["runs"]) == len(rows["accepted"]) == len(rows["conversations"]) == 100


@pytest.mark.parametrize("seed", range(3))
async def test_no_order_of_writes_ends_in_a_deadlock(own_postgres_url: str, seed: int) -> None:
    harness = PostgresHarness(own_postgres_url)
    await harness.start()
    hands = [Hand(harness)] + [Hand(harness, f"w{n}", await harness.second()) for n in (2, 3)]
    before = await _deadlocks(harness)
    await asyncio.gather(*(_do_anything(hand, random.Random(seed * 10 + n)) for n, hand in enumerate(hands)))
    check(await harness.rows())
    for hand in hands[1:]:
        await hand.journal.close()
    await harness.journal.close()
    assert await _deadlocks(harness) == before
    await harness.close()


async def _do_anything(hand: Hand, chance: random.Random) -> None:
    for _ in range(12):
        rows = await hand.harness.rows()
        run_ids = [row["run_id"] for row in rows["runs"] if row["ended_at"] is None]
        works = [hand.accept("text", conversation_id=f"c{chance.randrange(6)}") for _ in range(6)]
        works += [hand.cancel(run_id) for run_id in chance.sample(run_ids, min(2, len(run_ids)))]
        works += [hand.reply(wait["run_id"], "yes") for wait in rows["waits"][-3:]]
        works += [_settle_some(hand, agent, chance) for agent in ("router", "a", "b", "c")]
        works.append(hand.journal.sweep())
        chance.shuffle(works)
        for result in await asyncio.gather(*works, return_exceptions=True):
            if isinstance(result, BaseException) and not isinstance(
                result, NotFoundError | NotWaitingError | RequestError
            ):
                raise result


async def _settle_some(hand: Hand, agent: str, chance: random.Random) -> None:
    claims = await hand.poll(agent, overdue_s=0.0, limit=10)
    await asyncio.gather(*(_settle(hand, claim, chance.choice(["answer", "hand", "ask", "human"])) for claim in claims))


async def _settle(hand: Hand, claim: Claim, how: str) -> None:
    if claim.agent == "router":
        await hand.routed_by(claim)
    elif how == "answer":
        await hand.answer(claim)
    elif how == "ask":
        await hand.finish(claim, Ask("which?"))
    else:
        await hand.hand(claim, "human" if how == "human" or claim.agent == "c" else {"a": "b", "b": "c"}[claim.agent])


async def _deadlocks(harness: PostgresHarness) -> int:
    [row] = await harness.aside("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    return int(row["deadlocks"])


async def _all_ended(harness: PostgresHarness) -> bool:
    [row] = await harness.aside("SELECT count(*) AS open FROM runs WHERE ended_at IS NULL")
    return row["open"] == 0


async def test_a_journal_that_is_closed_says_so(hands: tuple[Hand, Hand]) -> None:
    accepted = await hands[1].accept()
    await hands[1].journal.close()
    for ask in (hands[1].accept(), hands[1].claim(accepted.run_id), hands[1].journal.result(accepted.run_id)):
        with pytest.raises(JournalUnavailableError, match="the journal is closed"):
            await ask
    await hands[1].journal.close()


async def test_what_was_written_before_the_close_is_there(harness: PostgresHarness, hands: tuple[Hand, Hand]) -> None:
    writes = [asyncio.ensure_future(hands[1].accept(f"text {n}", conversation_id=f"c{n % 7}")) for n in range(40)]
    await until(lambda: any(write.done() for write in writes))
    await hands[1].journal.close()
    accepted = await asyncio.gather(*writes)
    assert {row["run_id"] for row in (await harness.rows())["runs"]} == {one.run_id for one in accepted}
