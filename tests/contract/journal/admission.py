"""Admission: a tenant has so many runs under way, the next begin in their order, and other tenants do not wait."""

from typing import Any

from baton import ids
from baton.errors import PermanentError
from baton.journal.records import Accepted
from tests.support.journals import Hand, Harness
from tests.support.waiting import until

ROOM = 2


async def bounded(hand: Hand, tenant: str = "loud", **given: Any) -> Accepted:
    """Accept a request of a tenant that may have `ROOM` runs under way."""
    accepted = await hand.receive(tenant=tenant, tenant_running=ROOM, **given)
    # Ids of one millisecond are in no order; the next request comes in a later one.
    await until(lambda: ids.new_run_id()[:12] > accepted.run_id[:12])
    return accepted


async def admitted(hand: Hand) -> list[str]:
    return [hop.run_id for hop in await hand.journal.admit(ROOM)]


async def ended(hand: Hand, accepted: Accepted) -> None:
    assert accepted.claim is not None
    await hand.fail(accepted.claim, PermanentError("no"))


async def event_types(hand: Hand, run_id: str) -> list[str]:
    return [event.type for event in await hand.journal.events(run_id)]


class Admission:
    async def test_runs_beyond_the_bound_wait_and_those_of_other_tenants_do_not(self, hand: Hand) -> None:
        loud = [await bounded(hand) for _ in range(4)]
        quiet = await bounded(hand, "quiet")
        assert [one.claim is not None for one in (*loud, quiet)] == [True, True, False, False, True]
        assert all(one.is_new and not one.publish for one in loud[2:])
        assert await hand.status(loud[2].run_id) == "queued"
        assert (await hand.hop(loud[2].run_id, 0)).due_at is None
        assert await event_types(hand, loud[2].run_id) == ["accepted", "queued"]

    async def test_what_waits_can_neither_be_claimed_nor_polled(self, hand: Hand) -> None:
        runs = [await bounded(hand) for _ in range(3)]
        assert await hand.claim(runs[2].run_id) is None
        assert await hand.poll("router", missed_before=1e12, overdue_s=0.0) == []

    async def test_a_run_begins_when_one_has_ended(self, hand: Hand) -> None:
        runs = [await bounded(hand) for _ in range(4)]
        assert await admitted(hand) == []
        await ended(hand, runs[0])
        assert await admitted(hand) == [runs[2].run_id]
        assert await hand.take(runs[2].run_id)
        assert await event_types(hand, runs[2].run_id) == ["accepted", "queued", "admitted"]
        assert await admitted(hand) == []

    async def test_a_run_that_waits_for_somebody_takes_no_room(self, hand: Hand) -> None:
        runs = [await bounded(hand, tenant="default") for _ in range(3)]
        assert runs[0].claim is not None
        routed = await hand.routed_by(runs[0].claim)
        assert routed.outcome == "applied"
        await hand.ask(await hand.take(runs[0].run_id, 1, "a"))
        assert await admitted(hand) == [runs[2].run_id]

    async def test_tenants_take_turns_and_each_is_served_in_its_order(self, hand: Hand) -> None:
        begun = [await bounded(hand, tenant) for tenant in ("a", "a", "b", "b")]
        a = [(await bounded(hand, "a")).run_id for _ in range(2)]
        b = [(await bounded(hand, "b")).run_id for _ in range(2)]
        for one in begun:
            await ended(hand, one)
        assert await admitted(hand) == [a[0], b[0], a[1], b[1]]

    async def test_a_new_run_does_not_overtake_one_that_waits(self, hand: Hand) -> None:
        begun = [await bounded(hand) for _ in range(2)]
        waiting = await bounded(hand)
        for one in begun:
            await ended(hand, one)
        later = await bounded(hand)
        assert later.claim is None
        assert await admitted(hand) == [waiting.run_id, later.run_id]

    async def test_a_cancelled_run_that_waited_is_over(self, hand: Hand) -> None:
        runs = [await bounded(hand) for _ in range(2)]
        waiting = await bounded(hand)
        await hand.cancel(waiting.run_id)
        assert await hand.status(waiting.run_id) == "cancelled"
        for one in runs:
            await ended(hand, one)
        assert await admitted(hand) == []

    async def test_a_follow_up_waits_for_room_too(self, hand: Hand) -> None:
        first = await bounded(hand, conversation_id="c1")
        await ended(hand, first)
        for _ in range(2):
            await bounded(hand)
        second = await bounded(hand, conversation_id="c1")
        assert (second.claim, second.publish) == (None, ())
        assert await hand.said("c1", "loud") == ["hello", "hello"]

    async def test_a_run_accepted_without_a_claim_waits_likewise(self, hand: Hand) -> None:
        for _ in range(2):
            assert (await bounded(hand, claim=None)).publish
        assert not (await bounded(hand, claim=None)).publish

    async def test_a_request_whose_reply_was_lost_waits_once(self, hand: Hand, harness: Harness) -> None:
        for _ in range(2):
            await bounded(hand)
        run_id = ids.new_run_id()
        harness.lose_next_commit_reply()
        accepted = await bounded(hand, run_id=run_id, key="k1")
        assert (accepted.run_id, accepted.claim, accepted.publish) == (run_id, None, ())
        assert await event_types(hand, run_id) == ["accepted", "queued"]

    async def test_without_a_bound_nothing_waits(self, hand: Hand) -> None:
        runs = [await hand.receive(tenant="loud") for _ in range(5)]
        assert all(one.claim for one in runs)
