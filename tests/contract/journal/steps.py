"""Steps: recorded once, under the token of a worker that still has the hop."""

import asyncio

from tests.support.journals import Hand, Harness, a_step


class RecordedSteps:
    async def test_a_step_is_recorded_once_and_never_changed(self, hand: Hand) -> None:
        claim = await hand.at()
        assert await hand.journal.record(claim.lease, a_step(claim, result=b'"first"'))
        assert await hand.journal.record(claim.lease, a_step(claim, result=b'"second"'))
        [step] = await hand.journal.steps(claim.lease.run_id)
        assert (step.result, step.status, step.seq, step.attempt, step.scope) == ("first", "done", 1, 1, "1")

    async def test_an_intent_becomes_a_record_and_a_record_no_intent(self, hand: Hand) -> None:
        claim = await hand.at()
        intent = a_step(claim, status="intent", result=b"null", effect="unsafe", idempotency_key="i1")
        assert await hand.journal.record(claim.lease, intent)
        [step] = await hand.journal.steps(claim.lease.run_id)
        assert (step.status, step.effect, step.ended_at, step.idempotency_key) == ("intent", "unsafe", None, "i1")
        assert await hand.journal.record(claim.lease, a_step(claim, result=b"7"))
        assert await hand.journal.record(claim.lease, intent)
        [step] = await hand.journal.steps(claim.lease.run_id)
        assert (step.status, step.result) == ("done", 7)
        assert step.ended_at is not None

    async def test_steps_are_kept_apart_by_scope_and_key_and_run(self, hand: Hand) -> None:
        one, other = await hand.at(), await hand.at()
        for claim in (one, other):
            for key in ("k1", "k2"):
                assert await hand.journal.record(claim.lease, a_step(claim, key))
        steps = await hand.journal.steps(one.lease.run_id)
        assert [(step.scope, step.key) for step in steps] == [("1", "k1"), ("1", "k2")]

    async def test_later_hops_of_the_run_are_given_all_its_steps(self, hand: Hand) -> None:
        claim = await hand.at()
        await hand.journal.record(claim.lease, a_step(claim))
        await hand.hand(claim, "b")
        [step] = (await hand.take(claim.lease.run_id, 2, "b")).steps
        assert (step.scope, step.key, step.seq) == ("1", "k", 1)

    async def test_without_its_lease_a_worker_records_nothing(self, hand: Hand, other: Hand, harness: Harness) -> None:
        claim = await hand.at()
        await harness.expire_lease(claim.lease.run_id, 1)
        await other.take(claim.lease.run_id, 1, "a")
        before = await harness.rows()
        for status in ("intent", "done"):
            assert not await hand.journal.record(claim.lease, a_step(claim, status=status))
        assert await harness.rows() == before

    async def test_a_worker_whose_lease_ran_out_may_record_until_another_has_the_hop(
        self, hand: Hand, harness: Harness
    ) -> None:
        claim = await hand.at()
        await harness.expire_lease(claim.lease.run_id, 1)
        assert await hand.journal.record(claim.lease, a_step(claim))

    async def test_after_the_hop_or_its_run_is_over_nothing_is_recorded(self, hand: Hand, harness: Harness) -> None:
        done, suspended, retried, cancelled = [await hand.at() for _ in range(4)]
        await hand.answer(done)
        await hand.approve(suspended)
        await hand.fail(retried, ValueError("odd"))
        await hand.cancel(cancelled.lease.run_id)
        before = await harness.rows()
        for claim in (done, suspended, retried, cancelled):
            assert not await hand.journal.record(claim.lease, a_step(claim))
        assert await harness.rows() == before

    async def test_steps_at_the_same_time_are_all_recorded(self, hand: Hand) -> None:
        claim = await hand.at()
        writes = [hand.journal.record(claim.lease, a_step(claim, f"k{n:02d}")) for n in range(40)]
        assert all(await asyncio.gather(*writes))
        assert {step.key for step in await hand.journal.steps(claim.lease.run_id)} == {f"k{n:02d}" for n in range(40)}

    async def test_any_bytes_of_json_are_kept_as_they_are(self, hand: Hand) -> None:
        claim = await hand.at()
        result = b'{"nul":"\\u0000","n":12345678901234567890,"f":0.1,"dup":1,"dup":2,"u":"\xc3\xa9"}'
        await hand.journal.record(claim.lease, a_step(claim, result=result))
        await hand.hand_back(claim)
        [step] = (await hand.take(claim.lease.run_id, 1, "a")).steps
        assert step.result == result
