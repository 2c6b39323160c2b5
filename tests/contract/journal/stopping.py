"""Cancels and deadlines: a run that stands still ends at once, one that is worked on at its next write."""

import asyncio

import pytest

from baton import ids
from baton.errors import NotFoundError, NotWaitingError, TransientError
from baton.journal.records import Cancel, Finished, Lease
from baton.outcome import Answer
from tests.support.journals import Hand, Harness, a_step


class Stopping:
    async def test_a_pending_run_is_cancelled_at_once(self, hand: Hand) -> None:
        accepted = await hand.accept()
        replied = await hand.cancel(accepted.run_id)
        assert (replied.status, replied.is_new, replied.ended) == ("cancelled", True, (accepted.run_id,))
        result = await hand.journal.result(accepted.run_id)
        assert result.error is not None
        assert (result.error.code, result.error.message) == ("cancelled", "cancelled by ann: why not")
        assert (await hand.hop(accepted.run_id, 0)).status == "failed"
        assert await hand.claim(accepted.run_id) is None

    async def test_a_waiting_run_is_cancelled_at_once_and_its_wait_with_it(self, hand: Hand) -> None:
        asked, approving, at_desk = [await hand.at() for _ in range(3)]
        await hand.ask(asked)
        await hand.approve(approving)
        await hand.hand(at_desk, "human")
        for claim, given in ((asked, {"text": "x"}), (approving, {"decision": "approve"}), (at_desk, {"text": "x"})):
            run_id = claim.lease.run_id
            assert (await hand.cancel(run_id)).status == "cancelled"
            [wait] = await hand.journal.waits(run_id)
            assert wait.status == "cancelled"
            with pytest.raises(NotWaitingError, match="cancelled"):
                await hand.reply(run_id, **given)

    async def test_a_run_that_is_worked_on_ends_at_the_next_finish(self, hand: Hand) -> None:
        for number in range(5):
            claim = await hand.at()
            run_id = claim.lease.run_id
            assert (await hand.cancel(run_id)).status == "running"
            assert (await hand.journal.run(run_id)).stop
            finish = [
                lambda c: hand.hand(c, "b"),
                lambda c: hand.fail(c, TransientError("later")),
                lambda c: hand.hand_back(c),
                lambda c: hand.hand(c, "human"),
                lambda c: hand.journal.finish(c),
            ][number]
            written = await (finish(await hand.suspending(claim)) if number == 4 else finish(claim))  # type: ignore[arg-type]
            assert written == Finished("cancelled", (), (run_id,))
            assert await hand.status(run_id) == "cancelled"
            assert len(await hand.journal.hops(run_id)) == 2
            assert await hand.journal.waits(run_id) == []

    async def test_an_end_that_was_under_way_may_win_over_a_cancel(self, hand: Hand) -> None:
        claim = await hand.at()
        await hand.cancel(claim.lease.run_id)
        assert (await hand.answer(claim)).outcome == "applied"
        assert await hand.status(claim.lease.run_id) == "completed"

    async def test_a_running_hop_learns_of_a_cancel_at_its_next_step_renewal_or_claim(
        self, hand: Hand, harness: Harness
    ) -> None:
        claim = await hand.at()
        run_id = claim.lease.run_id
        await hand.cancel(run_id)
        assert not await hand.journal.record(claim.lease, a_step(claim))
        renewed = await hand.journal.renew([claim.lease], 30.0)
        assert (renewed.held, renewed.stop) == ({claim.lease}, {run_id})
        await harness.expire_lease(run_id, 1)
        assert await hand.claim(run_id, 1, "a") is None
        assert await hand.status(run_id) == "cancelled"

    async def test_a_cancel_of_a_run_whose_worker_is_gone_takes_effect_at_once(
        self, hand: Hand, harness: Harness
    ) -> None:
        claim = await hand.at()
        await harness.expire_lease(claim.lease.run_id, 1)
        assert (await hand.cancel(claim.lease.run_id)).status == "cancelled"
        assert await hand.answer(claim) == Finished("fenced")

    async def test_a_cancelled_run_whose_worker_died_is_ended_by_the_sweep(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at()
        run_id = claim.lease.run_id
        await hand.cancel(run_id)
        assert (await hand.journal.sweep()).ended == ()
        await harness.expire_lease(run_id, 1)
        assert (await hand.journal.sweep()).ended == (run_id,)
        assert await hand.status(run_id) == "cancelled"

    async def test_a_cancel_after_the_end_changes_nothing(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at()
        await hand.answer(claim)
        before = await harness.rows()
        replied = await hand.cancel(claim.lease.run_id)
        assert (replied.status, replied.is_new) == ("completed", False)
        assert await harness.rows() == before

    async def test_the_first_of_two_cancels_counts(self, hand: Hand) -> None:
        claim = await hand.at()
        run_id = claim.lease.run_id
        for reason in ("first", "second"):
            await hand.journal.cancel(Cancel(run_id, "ann", reason))
        await hand.hand(claim, "b")
        error = (await hand.journal.result(run_id)).error
        assert error is not None
        assert error.message == "cancelled by ann: first"

    async def test_a_cancel_of_an_unknown_run_is_told(self, hand: Hand) -> None:
        with pytest.raises(NotFoundError):
            await hand.cancel(ids.new_run_id())

    async def test_a_cancel_that_races_the_finish_has_one_outcome(self, hand: Hand, other: Hand) -> None:
        seen = set()
        for n in range(30):
            claim = await hand.at()
            run_id = claim.lease.run_id
            finish = await hand.settled(claim, Answer("done"))
            racers = [hand.journal.finish(finish), other.cancel(run_id)]
            await asyncio.gather(*(racers if n % 2 else reversed(racers)))
            status = await hand.status(run_id)
            ends = [event for event in await hand.journal.events(run_id) if event.type in ("answer", "cancelled")]
            assert len(ends) == 1
            assert (status, ends[0].type) in (("completed", "answer"), ("cancelled", "cancelled"))
            seen.add(status)
        assert seen

    async def test_a_run_past_its_deadline_fails_wherever_it_stands(self, hand: Hand, harness: Harness) -> None:
        pending = await hand.accept(deadline_s=60)
        blocker = await hand.at(conversation_id="c1")
        blocked = await hand.accept(conversation_id="c1", deadline_s=60)
        retried = await hand.at(deadline_s=60)
        await hand.fail(retried, TransientError("later"), delay_s=100)
        await harness.pass_time(59)
        assert (await hand.journal.sweep()).expired == 0
        await harness.pass_time(2)
        sweep = await hand.journal.sweep()
        late = {pending.run_id, blocked.run_id, retried.lease.run_id}
        assert set(sweep.ended) == late
        assert sweep.expired == 3
        for run_id in late:
            error = (await hand.journal.result(run_id)).error
            assert error is not None
            assert error.code == "deadline_exceeded"
        assert await hand.status(blocker.lease.run_id) == "running"
        assert (await hand.journal.sweep()).ended == ()

    async def test_a_run_past_its_deadline_that_is_worked_on_ends_at_its_next_write(
        self, hand: Hand, harness: Harness
    ) -> None:
        claim = await hand.at(deadline_s=10)
        run_id = claim.lease.run_id
        await harness.pass_time(11)
        await hand.journal.sweep()
        assert await hand.status(run_id) == "running"
        assert (await hand.journal.renew([claim.lease], 30.0)).stop == {run_id}
        assert (await hand.hand(claim, "b")).outcome == "cancelled"
        result = await hand.journal.result(run_id)
        assert result.error is not None
        assert (result.status, result.error.code, result.error.agent) == ("failed", "deadline_exceeded", "a")

    async def test_the_deadline_stands_still_while_the_run_waits(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at(deadline_s=100)
        run_id = claim.lease.run_id
        await harness.pass_time(20)
        await hand.ask(claim)
        assert (await hand.journal.run(run_id)).deadline_at is None
        await harness.pass_time(5_000)
        assert (await hand.journal.sweep()).ended == ()
        await hand.reply(run_id, "yes")
        claim = await hand.take(run_id, 2, "a")
        assert claim.run.deadline_at is not None
        assert claim.run.deadline_at - claim.now == pytest.approx(80, abs=5)
        await hand.approve(claim)
        await harness.pass_time(5_000)
        await hand.reply(run_id, decision="approve")
        await harness.pass_time(60)
        assert (await hand.journal.sweep()).ended == ()
        await harness.pass_time(30)
        assert (await hand.journal.sweep()).ended == (run_id,)

    async def test_a_run_without_a_deadline_stays_as_long_as_it_takes(self, hand: Hand, harness: Harness) -> None:
        accepted = await hand.accept()
        await harness.pass_time(10_000_000)
        assert (await hand.journal.sweep()).ended == ()
        assert await hand.status(accepted.run_id) == "queued"

    async def test_an_ended_run_loses_every_lease(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at(deadline_s=10)
        await harness.pass_time(60)
        await hand.journal.sweep()
        assert await hand.status(claim.lease.run_id) == "failed"
        assert (await hand.journal.renew([claim.lease], 30.0)).held == frozenset()
        assert await hand.claim(claim.lease.run_id, 1, "a") is None
        assert not await hand.journal.record(Lease(claim.lease.run_id, 1, 1), a_step(claim))
