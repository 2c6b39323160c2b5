"""What a poll finds: retries, hand-backs and lost leases by due time, then what the broker missed."""

from baton.errors import TransientError
from baton.journal.records import Claim
from tests.support.journals import Hand, Harness, envelope_of


def runs(claims: list[Claim]) -> list[str]:
    return [claim.lease.run_id for claim in claims]


class Polling:
    async def test_a_first_attempt_is_left_to_the_broker_unless_it_counts_as_missed(self, hand: Hand) -> None:
        accepted = await hand.accept()
        pending_since = (await hand.hop(accepted.run_id, 0)).pending_since
        assert await hand.poll("router") == []
        assert await hand.poll("router", missed_before=pending_since) == []
        [claim] = await hand.poll("router", missed_before=pending_since + 0.001)
        assert claim.lease.run_id == accepted.run_id
        assert envelope_of(claim).request_text == "hello"

    async def test_a_first_attempt_that_is_overdue_is_found_by_the_journals_clock(
        self, hand: Hand, harness: Harness
    ) -> None:
        accepted = await hand.accept()
        await harness.pass_time(2)
        fresh = await hand.accept()
        assert await hand.poll("router", overdue_s=3600.0) == []
        assert runs(await hand.poll("router", overdue_s=1.5)) == [accepted.run_id]
        assert await hand.poll("router", overdue_s=1.5) == []
        assert runs(await hand.poll("router", overdue_s=0.0)) == [fresh.run_id]

    async def test_a_first_attempt_is_found_if_either_bound_says_so(self, hand: Hand, harness: Harness) -> None:
        old = await hand.accept("old")
        await harness.pass_time(10)
        new = await hand.accept("new")
        pending_since = (await hand.hop(new.run_id, 0)).pending_since
        assert runs(await hand.poll("router", missed_before=pending_since - 100, overdue_s=5.0)) == [old.run_id]
        found = await hand.poll("router", missed_before=pending_since + 0.001, overdue_s=3600.0)
        assert runs(found) == [new.run_id]

    async def test_overdue_hops_are_no_reason_to_leave_retries(self, hand: Hand, harness: Harness) -> None:
        overdue = await hand.accept()
        await hand.routed(overdue.run_id)
        retried = await hand.at()
        await hand.fail(retried, TransientError("later"), delay_s=2)
        await harness.pass_time(10)
        assert runs(await hand.poll("a", overdue_s=2.0, limit=1)) == [retried.lease.run_id]
        assert runs(await hand.poll("a", overdue_s=2.0, limit=1)) == [overdue.run_id]

    async def test_retries_hand_backs_and_lost_leases_are_always_found(self, hand: Hand, harness: Harness) -> None:
        retried, handed, lost, working = [await hand.at() for _ in range(4)]
        await hand.fail(retried, TransientError("later"))
        await hand.hand_back(handed)
        await harness.expire_lease(lost.lease.run_id, 1)
        found = runs(await hand.poll("a"))
        assert sorted(found) == sorted(claim.lease.run_id for claim in (retried, handed, lost))
        assert working.lease.run_id not in found
        assert await hand.poll("a") == []

    async def test_due_retries_come_first_by_due_time_then_missed_hops_by_age(
        self, hand: Hand, harness: Harness
    ) -> None:
        old = await hand.accept("old")
        await hand.routed(old.run_id)
        await harness.pass_time(100)
        new = await hand.accept("new")
        await hand.routed(new.run_id)
        late, early = await hand.at(), await hand.at()
        await hand.fail(late, TransientError("later"), delay_s=8)
        await hand.fail(early, TransientError("later"), delay_s=2)
        await harness.pass_time(10)
        claims = await hand.poll("a", missed_before=1e12)
        assert runs(claims) == [early.lease.run_id, late.lease.run_id, old.run_id, new.run_id]

    async def test_a_retry_is_not_held_up_by_a_backlog_of_missed_hops(self, hand: Hand, harness: Harness) -> None:
        for _ in range(5):
            accepted = await hand.accept()
            await hand.routed(accepted.run_id)
        await harness.pass_time(100)
        claim = await hand.at()
        await hand.hand_back(claim)
        [first] = await hand.poll("a", missed_before=1e12, limit=1)
        assert first.lease.run_id == claim.lease.run_id

    async def test_a_poll_finds_the_hops_of_its_own_agent_only(self, hand: Hand) -> None:
        claim = await hand.at("a")
        await hand.hand(claim, "b")
        for agent in ("a", "router", "human"):
            assert await hand.poll(agent, missed_before=1e12) == []
        assert len(await hand.poll("b", missed_before=1e12)) == 1

    async def test_what_this_process_works_on_is_left_out(self, hand: Hand, harness: Harness) -> None:
        mine, lost = await hand.at(), await hand.at()
        for claim in (mine, lost):
            await harness.expire_lease(claim.lease.run_id, 1)
        busy = frozenset({(mine.lease.run_id, 1)})
        [claim] = await hand.poll("a", limit=1, busy=busy)
        assert claim.lease.run_id == lost.lease.run_id

    async def test_each_polled_hop_has_a_lease_of_its_own(self, hand: Hand, other: Hand) -> None:
        for _ in range(3):
            await hand.accept()
        claims = await hand.poll("router", missed_before=1e12)
        assert len({claim.lease for claim in claims}) == 3
        assert await other.poll("router", missed_before=1e12) == []
        for claim in claims:
            assert await hand.claim(claim.lease.run_id) is None

    async def test_a_waiting_or_ended_run_is_not_found(self, hand: Hand, harness: Harness) -> None:
        asked, approving, done, cancelled = [await hand.at() for _ in range(4)]
        await hand.ask(asked)
        await hand.approve(approving)
        await hand.answer(done)
        await hand.hand_back(cancelled)
        await hand.cancel(cancelled.lease.run_id)
        await harness.pass_time(1_000)
        assert await hand.poll("a", missed_before=1e12) == []

    async def test_a_resumed_hop_counts_as_new(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at()
        await hand.hand_back(claim)
        await hand.approve(await hand.take(claim.lease.run_id, 1, "a"))
        await harness.pass_time(100)
        await hand.reply(claim.lease.run_id, decision="approve")
        assert await hand.poll("a") == []
        hop = await hand.hop(claim.lease.run_id, 1)
        assert await hand.poll("a", missed_before=hop.pending_since - 1) == []
        assert len(await hand.poll("a", missed_before=hop.pending_since + 1)) == 1

    async def test_a_hop_that_may_kill_its_worker_is_taken_alone(self, hand: Hand, harness: Harness) -> None:
        suspects, innocent = [await hand.at() for _ in range(2)], await hand.at()
        for claim in suspects:
            for _ in range(2):
                await harness.expire_lease(claim.lease.run_id, 1)
                await hand.take(claim.lease.run_id, 1, "a")
        for claim in (*suspects, innocent):
            await harness.expire_lease(claim.lease.run_id, 1)
        without = await hand.poll("a", takes_suspect=False)
        assert runs(without) == [innocent.lease.run_id]
        [first] = await hand.poll("a")
        assert first.is_suspect
        [second] = await hand.poll("a")
        assert {first.lease.run_id, second.lease.run_id} == {claim.lease.run_id for claim in suspects}
        assert not without[0].is_suspect

    async def test_a_late_message_does_not_bring_a_suspect_beside_the_one_that_was_polled(
        self, hand: Hand, harness: Harness
    ) -> None:
        claim = await hand.at()
        lease = claim.lease
        for _ in range(2):
            await harness.expire_lease(lease.run_id, lease.seq)
            claim = await hand.take(lease.run_id, lease.seq, "a")
        await harness.expire_lease(lease.run_id, lease.seq)
        assert await hand.claim(lease.run_id, lease.seq, "a", takes_suspect=False) is None
        assert (await hand.take(lease.run_id, lease.seq, "a")).attempt == 4

    async def test_a_hop_that_was_lost_once_or_handed_back_is_no_suspect(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at()
        lease = claim.lease
        await harness.expire_lease(lease.run_id, lease.seq)
        again = await hand.claim(lease.run_id, lease.seq, "a", takes_suspect=False)
        assert again is not None
        await hand.fail(again, RuntimeError("once"))
        assert await hand.claim(lease.run_id, lease.seq, "a", takes_suspect=False) is not None
