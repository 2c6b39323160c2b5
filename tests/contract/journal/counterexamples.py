"""The seven counterexamples that a model of the protocol found, one test each (docs: research/protocol-model.md).

Some can only go wrong where transactions overlap; they are written so that they hold on any journal.
"""

import asyncio
import time

import pytest

from baton.errors import NotWaitingError
from baton.hop.leases import Held
from baton.hop.steps import LeaseLost, Suspended
from baton.journal.records import Finished
from baton.journal.views import RunFilter
from baton.outcome import Answer, Ask
from tests.support.journals import LEASE_S, Hand, Harness


class Counterexamples:
    async def test_1_a_redelivered_message_that_was_taken_as_a_reply_starts_no_run(
        self, hand: Hand, harness: Harness
    ) -> None:
        claim = await hand.at(conversation_id="c1")
        await hand.ask(claim, "which?")
        reply = await hand.accept("visa", key="m1", conversation_id="c1")
        assert reply.took == "reply"
        await hand.answer(await hand.take(claim.lease.run_id, 2, "a"))
        again = await hand.accept("visa", key="m1", conversation_id="c1")
        assert (again.took, again.run_id, again.is_new, again.publish) == ("reply", claim.lease.run_id, False, ())
        assert len((await harness.rows())["runs"]) == 1

    async def test_2_a_run_accepted_while_the_one_before_finishes_is_not_left_blocked(
        self, hand: Hand, other: Hand
    ) -> None:
        for n in range(30):
            conversation_id = f"c{n}"
            claim = await hand.at(conversation_id=conversation_id)
            finish = await hand.settled(claim, Answer("done"))
            racers = [hand.journal.finish(finish), other.accept("next", conversation_id=conversation_id)]
            await asyncio.gather(*(racers if n % 2 else reversed(racers)))
            [run_id] = [
                run.run_id
                for run in await hand.journal.runs(RunFilter(conversation_id=conversation_id))
                if run.run_id != claim.lease.run_id
            ]
            assert (await hand.hop(run_id, 0)).status == "pending"
            assert await hand.claim(run_id) is not None

    async def test_3_a_run_that_was_cancelled_has_no_second_end_however_late_its_finish(
        self, hand: Hand, other: Hand, harness: Harness
    ) -> None:
        claim = await hand.at()
        finish = await hand.settled(claim, Answer("done"))
        await harness.expire_lease(claim.lease.run_id, 1)
        assert (await other.cancel(claim.lease.run_id)).status == "cancelled"
        before = await harness.rows()
        assert await hand.journal.finish(finish) == Finished("fenced")
        assert await harness.rows() == before

    async def test_4_an_accepted_cancel_is_not_ignored_by_a_last_finish_that_asks(self, hand: Hand) -> None:
        claim = await hand.at()
        finish = await hand.settled(claim, Ask("which?"))
        assert (await hand.cancel(claim.lease.run_id)).status == "running"
        assert (await hand.journal.finish(finish)).outcome == "cancelled"
        assert await hand.status(claim.lease.run_id) == "cancelled"
        assert await hand.journal.waits(claim.lease.run_id) == []

    async def test_5_an_address_that_is_added_while_the_run_ends_is_answered(
        self, hand: Hand, other: Hand, harness: Harness
    ) -> None:
        for n in range(30):
            claim = await hand.at(key=f"k{n}", conversation_id=f"c{n}")
            finish = await hand.settled(claim, Answer("done"))
            late = other.accept(key=f"k{n}", conversation_id=f"c{n}", reply_to=f"q{n}")
            racers = [hand.journal.finish(finish), late]
            await asyncio.gather(*(racers if n % 2 else reversed(racers)))
        answered = [row["reply_to"] for row in (await harness.rows())["deliveries"]]
        assert sorted(answered) == sorted(f"q{n}" for n in range(30))

    async def test_6_a_claim_whose_reply_was_lost_is_not_anothers(
        self, hand: Hand, other: Hand, harness: Harness
    ) -> None:
        accepted = await hand.accept()
        wish = hand.wish(accepted.run_id, 0, "router")
        harness.lose_next_commit_reply()
        mine = await hand.journal.claim(wish)
        assert mine is not None
        await harness.expire_lease(accepted.run_id, 0)
        theirs = await other.take(accepted.run_id)
        assert await hand.journal.claim(wish) is None
        assert (await hand.answer(mine)).outcome == "fenced"
        assert (await other.answer(theirs)).outcome == "applied"

    async def test_6b_a_claim_that_lost_the_race_does_not_adopt_the_winners(self, hand: Hand, other: Hand) -> None:
        accepted = await hand.accept()
        theirs = await other.take(accepted.run_id)
        wish = hand.wish(accepted.run_id, 0, "router")
        assert await hand.journal.claim(wish) is None
        assert await hand.journal.claim(wish) is None
        assert (await other.answer(theirs)).outcome == "applied"

    async def test_7_an_unsafe_step_of_a_zombie_does_not_fire_after_the_hop_was_parked(
        self, hand: Hand, other: Hand, harness: Harness
    ) -> None:
        fired: list[str] = []

        async def pay(who: str) -> None:
            fired.append(who)
            raise ConnectionError("was it paid?")

        zombie = await hand.at()
        run_id = zombie.lease.run_id
        with pytest.raises(ConnectionError):
            await hand.steps(zombie).call("pay", pay, ("zombie",), "unsafe", "hop")
        await harness.expire_lease(run_id, 1)
        second = await other.take(run_id, 1, "a")
        with pytest.raises(Suspended) as parked:
            await other.steps(second).call("pay", pay, ("zombie",), "unsafe", "hop")
        assert parked.value.wait.kind == "review"
        with pytest.raises(LeaseLost):
            await hand.steps(zombie).call("pay again", pay, ("zombie",), "unsafe", "hop")
        assert fired == ["zombie"]

    async def test_7b_no_step_starts_later_than_two_thirds_of_a_lease_after_the_last_renewal(self, hand: Hand) -> None:
        claim = await hand.at()
        task = asyncio.current_task()
        assert task is not None
        held = Held(claim.lease, task, None, lease_s=LEASE_S, asked_at=time.monotonic())
        held.may_start_step()
        held.renewed_at = time.monotonic() - LEASE_S * 2 / 3 - 0.1
        with pytest.raises(LeaseLost):
            held.may_start_step()
        assert not held.is_over()
        held.renewed_at = time.monotonic() - LEASE_S - 0.1
        assert held.is_over()

    async def test_a_reply_an_expiry_and_a_cancel_at_once_have_one_outcome(
        self, hand: Hand, other: Hand, harness: Harness
    ) -> None:
        for n in range(20):
            claim = await hand.at()
            run_id = claim.lease.run_id
            await hand.ask(claim, deadline_s=10)
            await harness.pass_time(11)
            racers = [other.reply(run_id, "yes"), hand.journal.sweep(), hand.cancel(run_id)]
            order = racers[n % 3 :] + racers[: n % 3]
            seen = await asyncio.gather(*order, return_exceptions=True)
            assert all(isinstance(one, NotWaitingError) for one in seen if isinstance(one, BaseException))
            [wait] = await hand.journal.waits(run_id)
            ends = [event for event in await hand.journal.events(run_id) if event.type in ("failed", "cancelled")]
            status = await hand.status(run_id)
            assert (wait.status, status) in (
                ("answered", "cancelled"),
                ("answered", "running"),
                ("expired", "failed"),
                ("cancelled", "cancelled"),
            )
            assert len(ends) == (status != "running")
