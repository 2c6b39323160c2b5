"""Waits: a run stands still until somebody answers; the first answer counts, later ones are told."""

import asyncio
from typing import Any

import pytest

from baton import ids
from baton.errors import IdempotencyConflictError, NotFoundError, NotWaitingError, RequestError
from baton.outcome import Approval
from tests.support.journals import GRAPH, Hand, Harness, a_step, envelope_of


class Waits:
    async def test_a_question_to_the_user_stands_as_a_wait(self, hand: Hand) -> None:
        claim = await hand.at(conversation_id="c1")
        run_id = claim.lease.run_id
        wait_id = await hand.ask(claim, "which?", options=["visa", "amex"], deadline_s=60)
        result = await hand.journal.result(run_id)
        assert (result.status, result.agent, result.text) == ("waiting", "a", None)
        assert result.question is not None
        assert (result.question.wait_id, result.question.kind, result.question.question) == (wait_id, "user", "which?")
        assert result.question.options == ("visa", "amex")
        [wait] = await hand.journal.waits(run_id)
        assert (wait.status, wait.seq, wait.answer, wait.agent) == ("waiting", 2, None, "a")
        assert wait.deadline_at == pytest.approx(wait.created_at + 60)
        assert result.question.deadline_at == wait.deadline_at
        assert [hop.status for hop in await hand.journal.hops(run_id)] == ["done", "done", "waiting"]

    async def test_a_waiting_hop_has_no_lease_and_nobody_can_claim_it(self, hand: Hand, harness: Harness) -> None:
        asked, approving, at_desk = [await hand.at() for _ in range(3)]
        await hand.ask(asked)
        await hand.approve(approving)
        await hand.hand(at_desk, "human")
        await harness.pass_time(3600)
        for claim, seq, agent in ((asked, 2, "a"), (approving, 1, "a"), (at_desk, 2, "human")):
            assert await hand.claim(claim.lease.run_id, seq, agent) is None
            assert await hand.poll(agent, missed_before=1e12) == []
        assert (await hand.journal.sweep()).ended == ()

    async def test_the_users_reply_resumes_the_agent_that_asked(self, hand: Hand) -> None:
        claim = await hand.at(conversation_id="c1", facts={"a": 1})
        run_id = claim.lease.run_id
        wait_id = await hand.ask(claim, "which?")
        replied = await hand.reply(run_id, "visa", wait_id=wait_id)
        assert (replied.run_id, replied.status, replied.is_new, replied.ended) == (run_id, "running", True, ())
        assert [(hop.run_id, hop.seq, hop.agent) for hop in replied.publish] == [(run_id, 2, "a")]
        claim = await hand.take(run_id, 2, "a")
        envelope = envelope_of(claim)
        assert (envelope.kind, envelope.reply, envelope.facts) == ("reply", "visa", {"a": 1})
        assert [message.text for message in claim.messages] == ["hello", "which?", "visa"]
        assert (claim.attempt, claim.run.log_length) == (1, 3)
        [wait] = await hand.journal.waits(run_id)
        assert wait.status == "answered"
        assert wait.answer is not None
        assert (wait.answer["text"], wait.answer["by"]) == ("visa", "user")
        assert (await hand.journal.result(run_id)).trail == ("router", "a")

    @pytest.mark.parametrize(("decision", "granted"), [("approve", True), ("reject", False)])
    async def test_an_approval_resumes_the_same_hop_which_finds_it_and_replays_its_steps(
        self, hand: Hand, decision: Any, granted: bool
    ) -> None:
        claim = await hand.at()
        run_id = claim.lease.run_id
        await hand.journal.record(claim.lease, a_step(claim, "look"))
        await hand.approve(claim, "refund")
        assert (await hand.hop(run_id, 1)).status == "waiting"
        await hand.reply(run_id, decision=decision, by="ann", reason="fine")
        claim = await hand.take(run_id, 1, "a")
        assert await hand.steps(claim).approve("refund", "sure?") == Approval(granted, "ann", "fine")
        assert {step.key for step in claim.steps} == {"look", "refund"}
        assert (claim.attempt, envelope_of(claim).kind) == (1, "resume")
        assert (await hand.answer(claim)).outcome == "applied"

    async def test_a_second_approval_in_one_turn_waits_again(self, hand: Hand) -> None:
        claim = await hand.at()
        run_id = claim.lease.run_id
        first = await hand.approve(claim, "one")
        await hand.reply(run_id, decision="approve")
        second = await hand.approve(await hand.take(run_id, 1, "a"), "two")
        assert [(wait.wait_id, wait.status) for wait in await hand.journal.waits(run_id)] == [
            (first, "answered"),
            (second, "waiting"),
        ]
        with pytest.raises(NotWaitingError):
            await hand.reply(run_id, decision="approve", wait_id=first)
        assert (await hand.reply(run_id, decision="approve")).status == "running"

    async def test_a_person_at_the_desk_can_answer_decline_or_give_the_run_on(self, hand: Hand) -> None:
        for name, card in GRAPH.cards.items():
            assert name == card.name
            await hand.journal.register(card)
        claims = [await hand.at(conversation_id=f"c{n}") for n in range(3)]
        for claim in claims:
            await hand.hand(claim, "human", reason="angry")
        answered, declined, given = [claim.lease.run_id for claim in claims]
        done = await hand.reply(answered, "settled", by="ann")
        assert (done.status, done.ended) == ("completed", (answered,))
        result = await hand.journal.result(answered)
        assert (result.text, result.agent, result.trail) == ("settled", "human", ("router", "a", "human"))
        [*_, said] = await hand.journal.history("default", "c0")
        assert (said.role, said.name, said.text) == ("person", "ann", "settled")
        assert (await hand.reply(declined, decision="reject", reason="spam", by="ann")).status == "failed"
        error = (await hand.journal.result(declined)).error
        assert error is not None
        assert (error.code, error.message) == ("declined", "ann declined: spam")
        moved = await hand.reply(given, handoff="b", reason="look", by="ann", text="a note")
        assert [(hop.seq, hop.agent, hop.from_agent) for hop in moved.publish] == [(3, "b", "human")]
        assert (await hand.journal.result(given)).agent == "b"
        claim = await hand.take(given, 3, "b")
        assert (envelope_of(claim).reason, envelope_of(claim).from_agent) == ("look", "human")
        assert await hand.said("c2") == ["hello", "a note"]
        assert (await hand.answer(claim)).outcome == "applied"

    async def test_a_reply_that_the_wait_cannot_take_changes_nothing(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at()
        await hand.ask(claim)
        before = await harness.rows()
        for bad in ({"decision": "approve"}, {"handoff": "b"}, {}, {"text": ""}):
            with pytest.raises(RequestError):
                await hand.reply(claim.lease.run_id, **bad)
        assert await harness.rows() == before

    async def test_the_first_reply_counts_and_the_second_is_told(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at()
        run_id = claim.lease.run_id
        await hand.ask(claim)
        await hand.reply(run_id, "one", by="ann")
        before = await harness.rows()
        with pytest.raises(NotWaitingError, match="answered by ann: 'one'") as caught:
            await hand.reply(run_id, "two", by="bob")
        assert caught.value.outcome == "answered by ann: 'one'"
        assert await harness.rows() == before

    async def test_of_many_replies_at_once_one_counts(self, hand: Hand, other: Hand) -> None:
        claim = await hand.at(conversation_id="c1")
        await hand.ask(claim, "which?")
        tries = [worker.reply(claim.lease.run_id, f"reply {n}") for n, worker in enumerate((hand, other) * 5)]
        seen = await asyncio.gather(*tries, return_exceptions=True)
        assert sum(not isinstance(one, BaseException) for one in seen) == 1
        assert all(isinstance(one, NotWaitingError) for one in seen if isinstance(one, BaseException))
        assert len(await hand.said("c1")) == 3

    async def test_a_reply_to_what_does_not_exist_or_does_not_wait_is_told(self, hand: Hand) -> None:
        claim = await hand.at()
        run_id = claim.lease.run_id
        with pytest.raises(NotFoundError, match="no run"):
            await hand.reply(ids.new_run_id(), "yes")
        with pytest.raises(NotFoundError, match="is running and has no wait"):
            await hand.reply(run_id, "yes")
        with pytest.raises(NotFoundError, match="no run"):
            await hand.reply(run_id, "yes", tenant="shop")
        await hand.ask(claim)
        with pytest.raises(NotFoundError, match="no wait 'w9'"):
            await hand.reply(run_id, "yes", wait_id="w9")

    async def test_a_repeated_reply_under_its_key_is_that_reply(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at()
        run_id = claim.lease.run_id
        await hand.ask(claim)
        await hand.reply(run_id, "visa", key="k1")
        before = await harness.rows()
        again = await hand.reply(run_id, "visa", key="k1")
        assert (again.run_id, again.is_new, again.publish) == (run_id, False, ())
        with pytest.raises(IdempotencyConflictError):
            await hand.reply(run_id, "amex", key="k1")
        assert await harness.rows() == before

    async def test_a_wait_past_its_deadline_fails_denies_or_goes_to_a_person(
        self, hand: Hand, harness: Harness
    ) -> None:
        failing, escalating, denied = [await hand.at(conversation_id=f"c{n}") for n in range(3)]
        await hand.ask(failing, deadline_s=60)
        await hand.ask(escalating, "well?", deadline_s=60, on_timeout="escalate")
        await hand.approve(denied, deadline_s=60)
        await harness.pass_time(59)
        assert (await hand.journal.sweep()).expired == 0
        await harness.pass_time(2)
        sweep = await hand.journal.sweep()
        assert sweep.expired == 3
        assert [(hop.run_id, hop.seq) for hop in sweep.publish] == [(denied.lease.run_id, 1)]
        assert set(sweep.ended) >= {failing.lease.run_id}
        error = (await hand.journal.result(failing.lease.run_id)).error
        assert error is not None
        assert error.code == "wait_expired"
        question = (await hand.journal.result(escalating.lease.run_id)).question
        assert question is not None
        assert (question.kind, question.question) == ("human", "no answer within 60 s to: well?")
        claim = await hand.take(denied.lease.run_id, 1, "a")
        approval = await hand.steps(claim).approve("ok", "sure?")
        assert (approval.granted, approval.by) == (False, "deadline")
        assert (await hand.journal.sweep()).expired == 0

    async def test_a_reply_after_the_deadline_has_taken_effect_is_told(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at()
        await hand.ask(claim, deadline_s=60)
        await harness.pass_time(61)
        await hand.journal.sweep()
        with pytest.raises(NotWaitingError, match="expired"):
            await hand.reply(claim.lease.run_id, "too late")

    async def test_a_reply_that_races_the_deadline_has_one_outcome(
        self, hand: Hand, other: Hand, harness: Harness
    ) -> None:
        for n in range(20):
            claim = await hand.at(conversation_id=f"c{n}")
            await hand.ask(claim, deadline_s=60)
            await harness.pass_time(61)
            replied, sweep = await asyncio.gather(
                other.reply(claim.lease.run_id, "just now"), hand.journal.sweep(), return_exceptions=True
            )
            assert not isinstance(sweep, BaseException)
            [wait] = await hand.journal.waits(claim.lease.run_id)
            if isinstance(replied, BaseException):
                assert isinstance(replied, NotWaitingError)
                assert (wait.status, await hand.status(claim.lease.run_id)) == ("expired", "failed")
            else:
                assert (wait.status, await hand.status(claim.lease.run_id)) == ("answered", "running")
                assert sweep.expired == 0

    async def test_a_run_whose_user_never_answered_frees_its_conversation(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at(conversation_id="c1")
        await hand.ask(claim, deadline_s=60)
        await harness.pass_time(61)
        sweep = await hand.journal.sweep()
        assert sweep.ended == (claim.lease.run_id,)
        after = await hand.accept("next", conversation_id="c1")
        assert (after.took, len(after.publish)) == ("run", 1)
