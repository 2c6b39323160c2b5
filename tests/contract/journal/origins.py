"""Where commands come from: repetitions are known by key or by hash; hop 0 may be claimed with its run."""

import asyncio
from dataclasses import replace

import pytest

from baton import ids
from baton.errors import IdempotencyConflictError, NotWaitingError
from baton.journal.records import REDELIVERY_S, Accept, Accepted, Cancel, Origin
from baton.request import Request
from tests.contract.journal.accepting import deliveries
from tests.support.journal_checks import check
from tests.support.journals import Hand, Harness, Rows, envelope_of

AGAIN = {"redelivery_key": "h1", "is_redelivered": True}
FIRST = {"redelivery_key": "h1", "is_redelivered": False}


def run_count(rows: Rows) -> int:
    return len(rows["runs"])


async def sent_by_queue(hand: Hand, text: str = "hello", *, origin: Origin, conversation_id: str = "c1") -> Accepted:
    """Accept a request as it came from a queue, under a run id of its own, unclaimed."""
    request = Request.of({"text": text, "conversation_id": conversation_id})
    command = Accept(run_id=ids.new_run_id(), tenant="default", request=request)
    given = {name: getattr(origin, name) for name in Origin.__dataclass_fields__}
    return await hand.journal.accept(replace(command, **given))


class Origins:
    async def test_an_address_that_comes_while_the_run_asks_gets_the_question(self, hand: Hand) -> None:
        claim = await hand.at(key="k1", reply_to="q1", correlation_id="x")
        wait_id = await hand.ask(claim)
        [first] = await hand.due()
        await hand.journal.sent([], undeliverable=[first.delivery_id])
        await hand.accept(key="k1", reply_to="q2", correlation_id="x")
        [due] = await hand.due()
        assert (due.reply_to, due.correlation_id, due.message_id) == ("q2", "x", first.message_id)
        assert due.result.question is not None
        assert due.result.question.wait_id == wait_id
        await hand.accept(key="k1", reply_to="q2", correlation_id="x")
        assert await hand.due() == [], "a known address adds nothing"

    async def test_who_cancels_a_run_that_asks_gets_its_end_and_no_question(self, hand: Hand) -> None:
        claim = await hand.at()
        await hand.ask(claim)
        await hand.cancel(claim.lease.run_id, reply_to="q1")
        [due] = await hand.due()
        assert (due.reply_to, due.result.status) == ("q1", "cancelled")

    async def test_a_redelivered_message_without_a_key_is_the_same_run(self, hand: Hand, harness: Harness) -> None:
        first = await sent_by_queue(hand, origin=Origin(redelivery_key="h1"))
        before = await harness.rows()
        again = await sent_by_queue(hand, origin=Origin(redelivery_key="h1", is_redelivered=True))
        assert (again.run_id, again.took, again.is_new) == (first.run_id, "run", False)
        assert (again.conversation_id, again.publish, again.claim) == ("c1", (), None)
        assert await harness.rows() == before

    async def test_an_identical_message_that_is_not_redelivered_is_a_run_of_its_own(self, hand: Hand) -> None:
        one, two = [await sent_by_queue(hand, origin=Origin(redelivery_key="h1")) for _ in range(2)]
        assert one.run_id != two.run_id
        assert two.is_new

    async def test_of_identical_messages_the_latest_counts(self, hand: Hand, harness: Harness) -> None:
        _, latest = [await sent_by_queue(hand, origin=Origin(redelivery_key="h1")) for _ in range(2)]
        again = await sent_by_queue(hand, origin=Origin(redelivery_key="h1", is_redelivered=True))
        assert again.run_id == latest.run_id
        assert run_count(await harness.rows()) == 2

    async def test_a_message_that_was_never_seen_is_new_though_it_is_redelivered(self, hand: Hand) -> None:
        accepted = await sent_by_queue(hand, origin=Origin(redelivery_key="h1", is_redelivered=True))
        assert (accepted.took, accepted.is_new, len(accepted.publish)) == ("run", True, 1)
        again = await sent_by_queue(hand, origin=Origin(redelivery_key="h1", is_redelivered=True))
        assert (again.run_id, again.is_new) == (accepted.run_id, False)

    async def test_a_message_is_known_by_its_hash_for_an_hour(self, hand: Hand, harness: Harness) -> None:
        first = await sent_by_queue(hand, origin=Origin(redelivery_key="h1"))
        await harness.pass_time(REDELIVERY_S - 60)
        await hand.journal.sweep()
        within = await sent_by_queue(hand, origin=Origin(redelivery_key="h1", is_redelivered=True))
        assert within.run_id == first.run_id
        await harness.pass_time(61)
        after = await sent_by_queue(hand, origin=Origin(redelivery_key="h1", is_redelivered=True))
        assert (after.run_id != first.run_id, after.is_new) == (True, True)

    async def test_hashes_that_are_too_old_are_not_kept(self, hand: Hand, harness: Harness) -> None:
        await sent_by_queue(hand, origin=Origin(redelivery_key="h1"))
        await harness.pass_time(REDELIVERY_S + 1)
        await sent_by_queue(hand, origin=Origin(redelivery_key="h2"))
        await hand.journal.sweep()
        assert [row["hash"] for row in (await harness.rows())["redeliveries"]] == ["h2"]

    async def test_hashes_are_each_tenants_own(self, hand: Hand) -> None:
        one = await hand.receive("hi", tenant="bank", **FIRST)
        other = await hand.receive("hi", tenant="shop", **AGAIN)
        assert (other.run_id != one.run_id, other.is_new) == (True, True)

    async def test_a_message_with_a_key_is_known_by_its_key_only(self, hand: Hand) -> None:
        keyless = await hand.receive("hi", **FIRST)
        keyed = await hand.receive("hi", key="k1", **AGAIN)
        assert keyed.run_id != keyless.run_id
        assert (await hand.receive("hi", **AGAIN)).run_id == keyless.run_id

    async def test_a_redelivered_message_that_had_become_a_reply_is_that_reply(
        self, hand: Hand, harness: Harness
    ) -> None:
        claim = await hand.at(conversation_id="c1")
        await hand.ask(claim, "which?")
        reply = await sent_by_queue(hand, "visa", origin=Origin(redelivery_key="h1"))
        assert (reply.took, reply.run_id) == ("reply", claim.lease.run_id)
        await hand.ask(await hand.take(claim.lease.run_id, 2, "a"), "which one of them?")
        before = await harness.rows()
        again = await sent_by_queue(hand, "visa", origin=Origin(redelivery_key="h1", is_redelivered=True))
        assert (again.took, again.run_id, again.is_new, again.publish) == ("reply", claim.lease.run_id, False, ())
        assert await harness.rows() == before, "the second question is still open"

    async def test_a_redelivered_reply_to_a_wait_is_that_reply(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at(conversation_id="c1")
        run_id = claim.lease.run_id
        await hand.ask(claim)
        assert (await hand.reply(run_id, "visa", **FIRST)).is_new
        before = await harness.rows()
        again = await hand.reply(run_id, "visa", **AGAIN)
        assert (again.run_id, again.is_new, again.publish) == (run_id, False, ())
        with pytest.raises(NotWaitingError):
            await hand.reply(run_id, "visa", **FIRST)
        assert await harness.rows() == before

    async def test_a_redelivered_reply_does_not_answer_the_next_question(self, hand: Hand) -> None:
        claim = await hand.at(conversation_id="c1")
        run_id = claim.lease.run_id
        await hand.ask(claim, "which?")
        await hand.reply(run_id, "yes", **FIRST)
        await hand.ask(await hand.take(run_id, 2, "a"), "sure?")
        assert not (await hand.reply(run_id, "yes", **AGAIN)).is_new
        assert await hand.status(run_id) == "waiting"
        assert (await hand.reply(run_id, "yes", **FIRST)).is_new
        assert await hand.said("c1") == ["hello", "which?", "yes", "sure?", "yes"]

    async def test_a_redelivered_cancel_is_that_cancel(self, hand: Hand, harness: Harness) -> None:
        accepted = await hand.accept()
        assert (await hand.cancel(accepted.run_id, **FIRST)).status == "cancelled"
        before = await harness.rows()
        again = await hand.cancel(accepted.run_id, **AGAIN)
        assert (again.status, again.is_new, again.ended) == ("cancelled", False, ())
        assert await harness.rows() == before

    async def test_a_repeated_cancel_under_its_key_is_that_cancel(self, hand: Hand, harness: Harness) -> None:
        accepted = await hand.accept()
        assert (await hand.cancel(accepted.run_id, key="k1")).status == "cancelled"
        before = await harness.rows()
        again = await hand.cancel(accepted.run_id, key="k1")
        assert (again.status, again.is_new) == ("cancelled", False)
        with pytest.raises(IdempotencyConflictError):
            await hand.journal.cancel(Cancel(accepted.run_id, "ann", "another reason", key="k1"))
        assert await harness.rows() == before

    async def test_a_key_of_one_command_is_a_conflict_for_every_other(self, hand: Hand, harness: Harness) -> None:
        await hand.accept("my card", key="request")
        claim = await hand.at(conversation_id="c1")
        await hand.ask(claim)
        await hand.reply(claim.lease.run_id, "visa", key="reply")
        await hand.ask(await hand.take(claim.lease.run_id, 2, "a"))
        gone = await hand.accept("gone")
        await hand.cancel(gone.run_id, key="cancel")
        going = await hand.accept("going")
        before = await harness.rows()
        for key in ("reply", "cancel"):
            with pytest.raises(IdempotencyConflictError, match=f"'{key}' was used before"):
                await hand.accept("my card", key=key)
        for key in ("request", "cancel"):
            with pytest.raises(IdempotencyConflictError):
                await hand.reply(claim.lease.run_id, "visa", key=key)
        for key in ("request", "reply", "cancel"):
            with pytest.raises(IdempotencyConflictError):
                await hand.cancel(going.run_id, key=key)
        assert await harness.rows() == before

    async def test_a_reply_and_a_cancel_get_the_result_where_they_want_it(self, hand: Hand, harness: Harness) -> None:
        answered, cancelled = await hand.at(conversation_id="c1"), await hand.accept()
        await hand.ask(answered)
        await hand.reply(answered.lease.run_id, "visa", reply_to="replier", correlation_id="x")
        assert deliveries(await harness.rows()) == []
        await hand.answer(await hand.take(answered.lease.run_id, 2, "a"))
        await hand.cancel(cancelled.run_id, reply_to="canceller", correlation_id="y")
        assert deliveries(await harness.rows()) == [("canceller", "y", False), ("replier", "x", False)]

    async def test_a_cancel_of_a_run_that_is_worked_on_gets_the_result_at_its_end(
        self, hand: Hand, harness: Harness
    ) -> None:
        claim = await hand.at()
        assert (await hand.cancel(claim.lease.run_id, reply_to="canceller")).status == "running"
        assert deliveries(await harness.rows()) == []
        await hand.hand(claim, "b")
        assert deliveries(await harness.rows()) == [("canceller", "", False)]

    async def test_whoever_comes_after_the_end_is_answered_at_once(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at(conversation_id="c1")
        run_id = claim.lease.run_id
        await hand.ask(claim)
        await hand.reply(run_id, "visa", **FIRST, reply_to="q")
        await hand.answer(await hand.take(run_id, 2, "a"))
        for _ in range(2):
            await hand.reply(run_id, "visa", **AGAIN, reply_to="late reply")
            await hand.cancel(run_id, reply_to="late cancel")
        expected = [("late cancel", "", False), ("late reply", "", False), ("q", "", False)]
        assert deliveries(await harness.rows()) == expected

    async def test_a_redelivered_message_adds_its_address_once(self, hand: Hand, harness: Harness) -> None:
        for again in (False, True, True):
            origin = Origin(redelivery_key="h1", is_redelivered=again, reply_to="q", correlation_id="x")
            accepted = await sent_by_queue(hand, origin=origin)
        await hand.cancel(accepted.run_id)
        assert deliveries(await harness.rows()) == [("q", "x", False)]

    async def test_a_message_delivered_to_two_routers_at_once_is_one_run(
        self, hand: Hand, other: Hand, harness: Harness
    ) -> None:
        for n in range(20):
            commands = [worker.receive(f"text {n}", key=f"k{n}") for worker in (hand, other)]
            one, two = await asyncio.gather(*commands)
            assert one.run_id == two.run_id
            assert sorted([one.is_new, two.is_new]) == [False, True]
            assert [accepted.claim is not None for accepted in (one, two)] == [one.is_new, two.is_new]
        assert run_count(await harness.rows()) == 20

    @pytest.mark.parametrize("again", [False, True])
    async def test_a_keyless_message_whose_commit_reply_was_lost_is_one_run(
        self, hand: Hand, harness: Harness, again: bool
    ) -> None:
        harness.lose_next_commit_reply()
        accepted = await sent_by_queue(hand, origin=Origin(redelivery_key="h1", is_redelivered=again))
        assert (accepted.took, accepted.is_new) == ("run", True)
        assert run_count(await harness.rows()) == 1
        redelivered = await sent_by_queue(hand, origin=Origin(redelivery_key="h1", is_redelivered=True))
        assert redelivered.run_id == accepted.run_id

    async def test_a_keyed_cancel_whose_commit_reply_was_lost_cancels_once(self, hand: Hand, harness: Harness) -> None:
        accepted = await hand.accept()
        harness.lose_next_commit_reply()
        assert (await hand.cancel(accepted.run_id, key="k1", reply_to="q")).status == "cancelled"
        assert [event.type for event in await hand.journal.events(accepted.run_id)] == ["accepted", "cancelled"]
        assert deliveries(await harness.rows()) == [("q", "", False)]


class ClaimedAtOnce:
    async def test_hop_0_is_claimed_with_its_run_and_not_published(self, hand: Hand, other: Hand) -> None:
        accepted = await hand.receive("my card", facts={"a": 1}, traceparent="00-aa-bb-01")
        claim = accepted.claim
        assert claim is not None
        assert accepted.publish == ()
        assert (claim.lease.run_id, claim.lease.seq, claim.lease.token) == (accepted.run_id, 0, 1)
        assert (claim.attempt, claim.agent, claim.traceparent) == (1, "router", "00-aa-bb-01")
        assert claim.run.facts == {"a": 1}
        assert envelope_of(claim).request_text == "my card"
        assert await hand.status(accepted.run_id) == "running"
        assert await other.claim(accepted.run_id) is None
        assert await other.poll("router", missed_before=1e12, overdue_s=0.0) == []
        finished = await hand.routed_by(claim)
        assert (finished.outcome, [hop.agent for hop in finished.publish]) == ("applied", ["a"])

    async def test_a_router_that_dies_after_accepting_leaves_a_hop_that_a_poll_finds(
        self, hand: Hand, other: Hand, harness: Harness
    ) -> None:
        accepted = await hand.receive()
        await harness.expire_lease(accepted.run_id, 0)
        [claim] = await other.poll("router")
        assert (claim.lease.run_id, claim.attempt) == (accepted.run_id, 2)
        assert accepted.claim is not None
        assert (await hand.routed_by(accepted.claim)).outcome == "fenced"

    async def test_a_blocked_run_is_not_claimed(self, hand: Hand, harness: Harness) -> None:
        first = await hand.receive(conversation_id="c1")
        second = await hand.receive(conversation_id="c1")
        assert (second.claim, second.publish, second.is_new) == (None, (), True)
        assert (await hand.hop(second.run_id, 0)).status == "blocked"
        assert first.claim is not None
        await hand.routed_by(first.claim)
        finished = await hand.answer(await hand.take(first.run_id, 1, "a"))
        assert [hop.run_id for hop in finished.publish] == [second.run_id]
        assert (await hand.take(second.run_id)).attempt == 1
        check(await harness.rows())

    async def test_what_became_a_reply_is_not_claimed(self, hand: Hand) -> None:
        claim = await hand.at(conversation_id="c1")
        await hand.ask(claim)
        reply = await hand.receive("visa", conversation_id="c1", key="k1")
        assert (reply.took, reply.claim) == ("reply", None)
        assert [(hop.run_id, hop.seq) for hop in reply.publish] == [(claim.lease.run_id, 2)]

    @pytest.mark.parametrize("given", [{"key": "k1"}, AGAIN])
    async def test_a_known_message_is_not_claimed_again(self, hand: Hand, harness: Harness, given: object) -> None:
        assert isinstance(given, dict)
        first = await hand.receive(**given)
        before = await harness.rows()
        again = await hand.receive(**given)
        assert (again.run_id, again.claim, again.publish, again.is_new) == (first.run_id, None, (), False)
        assert await harness.rows() == before
        await harness.expire_lease(first.run_id, 0)
        assert (await hand.receive(**given)).claim is None, "even when its lease has run out"

    @pytest.mark.parametrize("given", [{}, {"key": "k1"}, FIRST, AGAIN])
    async def test_a_lost_commit_reply_gives_the_same_claim_again(
        self, hand: Hand, other: Hand, harness: Harness, given: object
    ) -> None:
        assert isinstance(given, dict)
        harness.lose_next_commit_reply()
        accepted = await hand.receive(**given)
        assert accepted.claim is not None
        assert (accepted.is_new, accepted.publish) == (True, ())
        assert (accepted.claim.lease.token, accepted.claim.attempt) == (1, 1)
        assert run_count(await harness.rows()) == 1
        assert await other.claim(accepted.run_id) is None
        assert (await hand.routed_by(accepted.claim)).outcome == "applied"

    async def test_many_at_once_are_each_claimed_by_whoever_accepted_them(self, hand: Hand) -> None:
        accepted = await asyncio.gather(*(hand.receive(f"text {n}") for n in range(50)))
        claims = [one.claim for one in accepted if one.claim is not None]
        assert [claim.lease.run_id for claim in claims] == [one.run_id for one in accepted]
        assert [envelope_of(claim).request_text for claim in claims] == [f"text {n}" for n in range(50)]
