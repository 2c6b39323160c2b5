"""Writes that share a transaction, and commits whose reply was lost: each hop fares as if it were alone."""

import asyncio
from dataclasses import replace

import pytest

from baton import ids
from baton.errors import IdempotencyConflictError, NotFoundError
from baton.journal.records import Claim, Finish, Finished, NewEvent, Reply
from baton.outcome import Answer, Handoff
from tests.support.journals import Hand, Harness, a_step


def poisoned(finish: Finish) -> Finish:
    """Return a finish that breaks after it has written most of its rows."""
    return replace(finish, events=(*finish.events, NewEvent("poison", finish.lease.seq, {"bad": object()})))


class GroupCommit:
    async def test_writes_at_the_same_time_share_a_commit(self, hand: Hand, harness: Harness) -> None:
        count = getattr(harness, "commit_count", None)
        if count is None:
            pytest.skip("this harness does not count commits")
        await asyncio.gather(*(hand.accept(f"text {n}") for n in range(50)))
        assert harness.commit_count - count <= 2  # type: ignore[attr-defined]

    async def test_three_deliveries_of_one_hop_in_one_batch_are_one_claim(self, hand: Hand) -> None:
        accepted = await hand.accept()
        claims = await asyncio.gather(*(hand.claim(accepted.run_id) for _ in range(3)))
        assert [claim is not None for claim in claims] == [True, False, False]
        hop = await hand.hop(accepted.run_id, 0)
        assert (hop.attempt, hop.token) == (1, 1)

    async def test_a_finish_and_a_claim_of_the_next_hop_may_share_a_batch(self, hand: Hand) -> None:
        claim = await hand.at()
        finish = await hand.settled(claim, Handoff("b"))
        _, following = await asyncio.gather(hand.journal.finish(finish), hand.claim(claim.lease.run_id, 2, "b"))
        assert following is not None

    @pytest.mark.parametrize("place", [0, 1, 2])
    async def test_a_poisoned_neighbour_in_a_batch_harms_only_itself(
        self, hand: Hand, harness: Harness, place: int
    ) -> None:
        claims = [await hand.at(conversation_id=f"c{n}") for n in range(3)]
        finishes = [await hand.settled(claim, Answer(f"answer {n}")) for n, claim in enumerate(claims)]
        finishes[place] = poisoned(finishes[place])
        fresh = ids.new_run_id()
        writes = [
            *(hand.journal.finish(finish) for finish in finishes),
            hand.accept("beside", run_id=fresh),
            hand.journal.record(claims[place].lease, a_step(claims[place])),
            hand.reply(ids.new_run_id(), "nobody waits"),
        ]
        seen = await asyncio.gather(*writes, return_exceptions=True)
        assert isinstance(seen[place], Exception)
        assert isinstance(seen[-1], NotFoundError)
        for n, claim in enumerate(claims):
            is_good = n != place
            assert (await hand.status(claim.lease.run_id)) == ("completed" if is_good else "running")
            assert (f"answer {n}" in await hand.said(f"c{n}")) is is_good
        assert await hand.status(fresh) == "queued"
        assert seen[4] is True
        assert (await hand.answer(claims[place], "healthy")).outcome == "applied"
        rows = await harness.rows()
        assert len([row for row in rows["events"] if row["type"] == "accepted"]) == 4

    async def test_a_conflict_in_a_batch_harms_only_itself(self, hand: Hand) -> None:
        seen = await asyncio.gather(
            hand.accept("one", key="k1"), hand.accept("two", key="k1"), hand.accept("three"), return_exceptions=True
        )
        assert [type(one) is IdempotencyConflictError for one in seen] == [False, True, False]

    async def test_the_same_key_twice_in_a_batch_is_one_run(self, hand: Hand, harness: Harness) -> None:
        one, other = await asyncio.gather(hand.accept("same", key="k1"), hand.accept("same", key="k1"))
        assert one.run_id == other.run_id
        assert sorted([one.is_new, other.is_new]) == [False, True]
        assert len((await harness.rows())["runs"]) == 1

    async def test_a_fenced_zombie_in_a_batch_writes_nothing_and_its_neighbours_all(
        self, hand: Hand, other: Hand, harness: Harness
    ) -> None:
        zombie, healthy = await hand.at(conversation_id="c1"), await hand.at(conversation_id="c2")
        await harness.expire_lease(zombie.lease.run_id, 1)
        await other.take(zombie.lease.run_id, 1, "a")
        late = await hand.settled(zombie, Handoff("b", facts={"zombie": 1}))
        good = await hand.settled(healthy, Answer("done"))
        seen = await asyncio.gather(
            hand.journal.finish(late),
            hand.journal.finish(good),
            hand.journal.record(zombie.lease, a_step(zombie)),
            hand.journal.note(zombie.lease, NewEvent("progress", 1)),
        )
        assert seen == [Finished("fenced"), Finished("applied", (), (healthy.lease.run_id,)), False, None]
        result = await hand.journal.result(zombie.lease.run_id)
        assert (result.status, result.facts, result.trail) == ("running", {}, ("router", "a"))
        assert await hand.journal.steps(zombie.lease.run_id) == []
        assert [event.type for event in await hand.journal.events(zombie.lease.run_id)][-1] == "attempt"

    async def test_a_large_batch_writes_everything_once(self, hand: Hand) -> None:
        accepted = await asyncio.gather(*(hand.accept(conversation_id=f"c{n % 50}") for n in range(300)))
        claims = await asyncio.gather(*(hand.claim(one.run_id) for one in accepted))
        assert len([claim for claim in claims if claim]) == 50
        assert len({one.run_id for one in accepted}) == 300


class LostReplies:
    """Whatever was committed without a reply is found again, and nothing is done twice."""

    @pytest.mark.parametrize("key", ["k1", None])
    async def test_an_accept_whose_reply_was_lost_is_one_run(
        self, hand: Hand, harness: Harness, key: str | None
    ) -> None:
        harness.lose_next_commit_reply()
        accepted = await hand.accept("my card", key=key, conversation_id="c1")
        assert (accepted.took, accepted.is_new, accepted.conversation_id) == ("run", True, "c1")
        assert len((await harness.rows())["runs"]) == 1
        assert await hand.said("c1") == ["my card"]
        assert await hand.claim(accepted.run_id) is not None

    @pytest.mark.parametrize("key", ["k1", None])
    async def test_a_request_taken_as_a_reply_whose_reply_was_lost_is_no_second_run(
        self, hand: Hand, harness: Harness, key: str | None
    ) -> None:
        claim = await hand.at(conversation_id="c1")
        await hand.ask(claim, "which?")
        harness.lose_next_commit_reply()
        reply = await hand.accept("visa", key=key, conversation_id="c1")
        assert (reply.took, reply.run_id) == ("reply", claim.lease.run_id)
        assert len((await harness.rows())["runs"]) == 1
        assert await hand.said("c1") == ["hello", "which?", "visa"]

    async def test_a_claim_whose_reply_was_lost_is_mine_and_one_attempt(self, hand: Hand, harness: Harness) -> None:
        accepted = await hand.accept()
        harness.lose_next_commit_reply()
        claim = await hand.take(accepted.run_id)
        assert (claim.attempt, claim.lease.token) == (1, 1)
        assert (await hand.routed_by(claim)).outcome == "applied"

    async def test_a_second_attempt_whose_reply_was_lost_is_told_once(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at()
        await harness.expire_lease(claim.lease.run_id, 1)
        harness.lose_next_commit_reply()
        assert (await hand.take(claim.lease.run_id, 1, "a")).attempt == 2
        events = [event.type for event in await hand.journal.events(claim.lease.run_id)]
        assert events.count("attempt") == 1

    async def test_a_poll_whose_reply_was_lost_has_its_hops_at_once(self, hand: Hand, harness: Harness) -> None:
        run_ids = {(await hand.accept()).run_id for _ in range(3)}
        harness.lose_next_commit_reply()
        claims = await hand.poll("router", missed_before=1e12)
        assert {claim.lease.run_id for claim in claims} == run_ids
        assert {claim.attempt for claim in claims} == {1}

    async def test_a_step_whose_reply_was_lost_is_recorded_once(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at()
        harness.lose_next_commit_reply()
        assert await hand.journal.record(claim.lease, a_step(claim))
        assert len(await hand.journal.steps(claim.lease.run_id)) == 1

    async def test_a_handoff_whose_reply_was_lost_is_one_hop_that_is_still_published(
        self, hand: Hand, harness: Harness
    ) -> None:
        claim = await hand.at()
        harness.lose_next_commit_reply()
        finished = await hand.hand(claim, "b")
        assert (finished.outcome, [hop.seq for hop in finished.publish]) == ("applied", [2])
        assert len(await hand.journal.hops(claim.lease.run_id)) == 3
        events = [event.type for event in await hand.journal.events(claim.lease.run_id)]
        assert events == ["accepted", "routed", "handoff", "handoff"]

    async def test_an_answer_whose_reply_was_lost_is_one_answer(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at(conversation_id="c1")
        harness.lose_next_commit_reply()
        assert (await hand.answer(claim)).outcome == "applied"
        assert await hand.said("c1") == ["hello", "done"]
        assert [event.type for event in await hand.journal.events(claim.lease.run_id)].count("answer") == 1

    @pytest.mark.parametrize("key", ["k1", None])
    async def test_a_reply_whose_reply_was_lost_counts_and_is_not_refused(
        self, hand: Hand, harness: Harness, key: str | None
    ) -> None:
        claim = await hand.at(conversation_id="c1")
        wait_id = await hand.ask(claim, "which?")
        harness.lose_next_commit_reply()
        replied = await hand.journal.reply(Reply(claim.lease.run_id, wait_id, "visa", key=key))
        assert (replied.run_id, replied.status) == (claim.lease.run_id, "running")
        assert await hand.said("c1") == ["hello", "which?", "visa"]

    async def test_a_cancel_whose_reply_was_lost_cancels_once(self, hand: Hand, harness: Harness) -> None:
        accepted = await hand.accept()
        harness.lose_next_commit_reply()
        assert (await hand.cancel(accepted.run_id)).status == "cancelled"
        assert [event.type for event in await hand.journal.events(accepted.run_id)] == ["accepted", "cancelled"]

    async def test_a_whole_batch_whose_reply_was_lost_takes_effect_once(self, hand: Hand, harness: Harness) -> None:
        claims: list[Claim] = [await hand.at(conversation_id=f"c{n}") for n in range(3)]
        finishes = [await hand.settled(claim, Answer("done")) for claim in claims]
        fresh = ids.new_run_id()
        harness.lose_next_commit_reply()
        *finished, accepted = await asyncio.gather(
            *(hand.journal.finish(finish) for finish in finishes), hand.accept("beside", run_id=fresh)
        )
        assert [one.outcome for one in finished] == ["applied"] * 3
        assert accepted.run_id == fresh
        for n in range(3):
            assert await hand.said(f"c{n}") == ["hello", "done"]
        assert len((await harness.rows())["runs"]) == 4

    async def test_a_cancelled_finish_whose_reply_was_lost_ends_the_run_once(
        self, hand: Hand, harness: Harness
    ) -> None:
        claim = await hand.at()
        await hand.cancel(claim.lease.run_id)
        harness.lose_next_commit_reply()
        assert (await hand.hand(claim, "b")).outcome in ("cancelled", "fenced")
        assert await hand.status(claim.lease.run_id) == "cancelled"
        assert [event.type for event in await hand.journal.events(claim.lease.run_id)].count("cancelled") == 1

    async def test_a_sweep_whose_reply_was_lost_expires_once(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at(conversation_id="c1")
        await hand.ask(claim, deadline_s=10)
        await harness.pass_time(11)
        harness.lose_next_commit_reply()
        await hand.journal.sweep()
        assert await hand.status(claim.lease.run_id) == "failed"
        assert [event.type for event in await hand.journal.events(claim.lease.run_id)].count("failed") == 1
