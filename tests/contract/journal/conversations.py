"""Conversations: one run at a time, in the order of acceptance, whatever happens to the one before."""

from collections.abc import Awaitable, Callable

import pytest

from baton.errors import PermanentError
from baton.journal.records import Claim, PendingHop
from tests.support.journals import Hand, Harness

Ending = Callable[[Hand, Claim], Awaitable[object]]


async def answered(hand: Hand, claim: Claim) -> object:
    return await hand.answer(claim)


async def failed(hand: Hand, claim: Claim) -> object:
    return await hand.fail(claim, PermanentError("no"))


async def cancelled_while_working(hand: Hand, claim: Claim) -> object:
    await hand.cancel(claim.lease.run_id)
    return await hand.hand(claim, "b")


async def cancelled_while_waiting(hand: Hand, claim: Claim) -> object:
    await hand.ask(claim)
    return await hand.cancel(claim.lease.run_id)


async def released_for_an_approval(hand: Hand, claim: Claim) -> object:
    finish = await hand.suspending(claim)
    return await hand.journal.finish(finish)


async def released_for_a_person(hand: Hand, claim: Claim) -> object:
    return await hand.hand(claim, "human")


ENDINGS = [
    answered,
    failed,
    cancelled_while_working,
    cancelled_while_waiting,
    released_for_an_approval,
    released_for_a_person,
]


class Conversations:
    async def test_a_second_run_stands_still_and_its_text_is_not_said_yet(self, hand: Hand) -> None:
        first = await hand.at(conversation_id="c1", text="one")
        second = await hand.accept("two", conversation_id="c1")
        assert (second.took, second.publish) == ("run", ())
        assert (await hand.hop(second.run_id, 0)).status == "blocked"
        assert await hand.claim(second.run_id) is None
        assert await hand.poll("router", missed_before=1e12) == []
        assert await hand.said("c1") == ["one"]
        assert (await hand.journal.run(second.run_id)).text == "two"
        assert await hand.status(first.lease.run_id) == "running"

    @pytest.mark.parametrize("ending", ENDINGS)
    async def test_the_next_run_begins_when_the_one_before_ends_or_waits_for_a_person(
        self, hand: Hand, ending: Ending
    ) -> None:
        first = await hand.at(conversation_id="c1", text="one")
        second = await hand.accept("two", conversation_id="c1")
        third = await hand.accept("three", conversation_id="c1")
        seen = await ending(hand, first)
        assert seen.publish == (PendingHop(second.run_id, 0, "router"),)  # type: ignore[attr-defined]
        assert (await hand.hop(second.run_id, 0)).status == "pending"
        assert (await hand.hop(third.run_id, 0)).status == "blocked"
        said = await hand.said("c1")
        assert said[-1] == "two"
        assert "three" not in said

    async def test_three_runs_are_served_in_the_order_of_acceptance(self, hand: Hand) -> None:
        runs = [await hand.accept(text, conversation_id="c1") for text in ("one", "two", "three")]
        for number, run in enumerate(runs):
            await hand.routed(run.run_id)
            await hand.answer(await hand.take(run.run_id, 1, "a"), f"answer {number}")
        assert await hand.said("c1") == ["one", "answer 0", "two", "answer 1", "three", "answer 2"]

    async def test_a_run_that_waits_for_its_user_keeps_the_conversation(self, hand: Hand) -> None:
        first = await hand.at(conversation_id="c1", text="one")
        second = await hand.accept("two", conversation_id="c1")
        await hand.ask(first, "which?")
        assert (await hand.hop(second.run_id, 0)).status == "blocked"
        reply = await hand.accept("this", conversation_id="c1")
        assert reply.run_id == first.lease.run_id
        done = await hand.answer(await hand.take(first.lease.run_id, 2, "a"))
        assert done.publish == (PendingHop(second.run_id, 0, "router"),)
        assert await hand.said("c1") == ["one", "which?", "this", "done", "two"]

    async def test_a_blocked_run_can_be_cancelled_and_its_text_is_never_said(self, hand: Hand) -> None:
        first = await hand.at(conversation_id="c1", text="one")
        second = await hand.accept("two", conversation_id="c1")
        third = await hand.accept("three", conversation_id="c1")
        replied = await hand.cancel(second.run_id)
        assert (replied.status, replied.publish) == ("cancelled", ())
        done = await hand.answer(first)
        assert done.publish == (PendingHop(third.run_id, 0, "router"),)
        assert await hand.said("c1") == ["one", "done", "three"]
        assert (await hand.journal.run(second.run_id)).text == "two"

    async def test_an_approved_run_queues_again_for_its_conversation(self, hand: Hand) -> None:
        first = await hand.at(conversation_id="c1", text="one")
        await hand.approve(first)
        second = await hand.at(conversation_id="c1", text="two")
        third = await hand.accept("three", conversation_id="c1")
        replied = await hand.reply(first.lease.run_id, decision="approve")
        assert (replied.status, replied.publish) == ("running", ())
        assert (await hand.hop(first.lease.run_id, 1)).status == "blocked"
        done = await hand.answer(second)
        assert [(hop.run_id, hop.seq) for hop in done.publish] == [(first.lease.run_id, 1)]
        resumed = await hand.take(first.lease.run_id, 1, "a")
        assert (await hand.steps(resumed).approve("ok", "sure?")).granted
        done = await hand.answer(resumed, "late")
        assert done.publish == (PendingHop(third.run_id, 0, "router"),)
        assert await hand.said("c1") == ["one", "two", "done", "late", "three"]

    async def test_a_person_can_end_a_run_while_others_go_on_and_its_answer_waits_its_turn(self, hand: Hand) -> None:
        first = await hand.at(conversation_id="c1", text="one")
        await hand.hand(first, "human")
        second = await hand.at(conversation_id="c1", text="two")
        third = await hand.accept("three", conversation_id="c1")
        assert (await hand.reply(first.lease.run_id, "settled", by="ann")).status == "running"
        done = await hand.answer(second)
        assert done.publish == (PendingHop(third.run_id, 0, "router"),)
        assert await hand.status(first.lease.run_id) == "completed"
        assert await hand.said("c1") == ["one", "two", "done", "settled", "three"]

    async def test_runs_of_other_conversations_do_not_wait(self, hand: Hand) -> None:
        await hand.at(conversation_id="c1")
        other = await hand.accept(conversation_id="c2")
        assert other.publish == (PendingHop(other.run_id, 0, "router"),)

    async def test_the_conversation_remembers_who_answered_or_asked_last(self, hand: Hand) -> None:
        claim = await hand.at("a", conversation_id="c1")
        await hand.hand(claim, "b")
        await hand.answer(await hand.take(claim.lease.run_id, 2, "b"))
        second = await hand.accept("two", conversation_id="c1")
        claim = await hand.take(second.run_id)
        assert claim.run.active_agent == "b"
        assert claim.run.active_at is not None
        assert claim.run.active_at <= claim.now

    async def test_an_answer_that_releases_leaves_nobody_active(self, hand: Hand) -> None:
        await hand.answer(await hand.at(conversation_id="c1"), release=True)
        second = await hand.accept("two", conversation_id="c1")
        assert (await hand.take(second.run_id)).run.active_agent is None

    async def test_a_blocked_run_that_nobody_passed_on_is_found_by_the_sweep(
        self, hand: Hand, harness: Harness
    ) -> None:
        first = await hand.at(conversation_id="c1", text="one")
        second = await hand.accept("two", conversation_id="c1")
        assert (await hand.journal.sweep()).passed_on == 0
        await hand.answer(first)
        assert (await hand.journal.sweep()).passed_on == 0
        assert (await hand.hop(second.run_id, 0)).status == "pending"
        assert len((await harness.rows())["conversations"]) == 1
