"""The dead: listed until somebody redrives or discards them; a redriven run goes on where it ended."""

import asyncio
from typing import Any

import pytest

from baton import ids
from baton.errors import NotFoundError, RequestError, TransientError
from baton.hop.steps import Suspended
from baton.journal.messages import Quarantined
from baton.journal.records import Claim
from baton.journal.views import DeadFilter, RunFilter
from tests.contract.journal.accepting import deliveries
from tests.support.journal_checks import check
from tests.support.journals import GRAPH, Hand, Harness, a_step, envelope_of


def message(text: str = "not json", **changes: Any) -> Quarantined:
    """Return a message that nothing could be made of."""
    given = {"source": "baton.requests", "reason": "no JSON object", "headers": {"reply_to": "q", "n": 1}}
    return Quarantined(body=text.encode(), **{**given, **changes})


async def moved(hand: Hand, claim: Claim, to: str = "b", **handoff: Any) -> Claim:
    """Hand a claimed hop off and claim the next."""
    await hand.hand(claim, to, **handoff)
    return await hand.take(claim.lease.run_id, claim.lease.seq + 1, to)


async def failure(hand: Hand, run_id: str) -> tuple[str, str]:
    """Return the code and the message of a failed run."""
    error = (await hand.journal.result(run_id)).error
    assert error is not None
    return error.code, error.message


class Dead:
    async def test_a_failed_run_is_listed_with_all_that_a_person_needs(self, hand: Hand) -> None:
        run_id = await hand.killed(await hand.at("b", "my card", tenant="bank"))
        [view] = await hand.journal.dead(DeadFilter())
        assert (view.id, view.kind, view.reason, view.message) == (run_id, "run", "permanent", "no such card")
        assert (view.agent, view.tenant, view.text) == ("b", "bank", "my card")
        assert view.at == (await hand.journal.run(run_id)).ended_at

    async def test_only_failed_runs_are_listed(self, hand: Hand) -> None:
        open_one, done, cancelled, waiting = [await hand.at() for _ in range(4)]
        await hand.answer(done)
        await hand.cancel(cancelled.lease.run_id)
        await hand.hand(cancelled, "b")
        await hand.approve(waiting)
        assert await hand.status(cancelled.lease.run_id) == "cancelled"
        assert await hand.status(open_one.lease.run_id) == "running"
        assert await hand.dead() == []

    async def test_messages_in_quarantine_are_listed_and_read_back_as_they_were(self, hand: Hand) -> None:
        body = b'\xff\x00 no text{"a":1}'
        given = Quarantined(
            "baton.requests", body, "no JSON: \N{BLACK HEART SUIT}", {"message_id": "m1", "n": [1, None]}
        )
        await hand.journal.quarantine(given)
        [view] = await hand.journal.dead(DeadFilter())
        assert (view.kind, view.reason, view.agent, view.tenant) == ("message", "quarantine", "baton.requests", None)
        assert view.message == given.reason
        assert view.text.endswith('no text{"a":1}')
        assert view.id.startswith("q")
        assert await hand.journal.quarantined(view.id) == given

    async def test_a_list_shows_the_beginning_of_a_large_message(self, hand: Hand) -> None:
        await hand.journal.quarantine(message("x" * 100_000))
        [view] = await hand.journal.dead(DeadFilter())
        assert view.text == "x" * 200
        assert len((await hand.journal.quarantined(view.id)).body) == 100_000

    @pytest.mark.parametrize("dead_id", ["q9", "q", "9", "qx", "q-1", "q1.0", "q" + "9" * 30, "", "q\u0661"])
    async def test_a_message_that_is_not_there_is_told(self, hand: Hand, dead_id: str) -> None:
        await hand.journal.quarantine(message())
        with pytest.raises(NotFoundError):
            await hand.journal.quarantined(dead_id)
        with pytest.raises(NotFoundError):
            await hand.journal.discard(dead_id, by="ann")
        assert len(await hand.dead()) == 1

    async def test_a_list_can_be_narrowed(self, hand: Hand, harness: Harness) -> None:
        permanent = await hand.killed(await hand.at(tenant="bank"))
        late = (await hand.at(tenant="shop", deadline_s=10)).lease.run_id
        await hand.journal.quarantine(message())
        await harness.pass_time(60)
        await hand.journal.sweep()
        [in_quarantine] = await hand.dead(reason="quarantine")
        assert await hand.dead(reason="permanent") == [permanent]
        assert await hand.dead(reason="deadline_exceeded") == [late]
        assert await hand.dead(reason="no_agent") == []
        assert await hand.dead(tenant="shop") == [late]
        assert await hand.dead(tenant="bank", reason="deadline_exceeded") == []
        assert sorted(await hand.dead()) == sorted([permanent, late, in_quarantine])

    async def test_the_last_to_die_is_the_newest_however_long_ago_it_was_accepted(
        self, hand: Hand, harness: Harness
    ) -> None:
        slow = await hand.at("a", "slow", conversation_id="c1")
        first = await hand.killed(await hand.at("a", "quick", conversation_id="c2"))
        await harness.pass_time(1)
        await hand.journal.quarantine(message())
        await harness.pass_time(1)
        last = await hand.killed(slow)
        listed = await hand.dead()
        assert [listed[0], listed[2]] == [first, last]
        assert await hand.dead(limit=1) == [last]
        assert await hand.dead(limit=2) == listed[1:]
        assert await hand.dead(limit=1, reason="permanent") == [last]

    async def test_a_reason_is_looked_for_beyond_the_limit(self, hand: Hand, harness: Harness) -> None:
        late = (await hand.at(deadline_s=10)).lease.run_id
        await harness.pass_time(60)
        await hand.journal.sweep()
        for _ in range(3):
            await hand.killed(await hand.at())
        assert await hand.dead(reason="deadline_exceeded", limit=1) == [late]

    async def test_a_discarded_run_is_off_the_list_and_keeps_its_rows(self, hand: Hand) -> None:
        kept, run_id = await hand.killed(await hand.at()), await hand.killed(await hand.at())
        await hand.journal.discard(run_id, by="bob")
        assert await hand.dead() == [kept]
        assert await hand.status(run_id) == "failed"
        last = (await hand.journal.events(run_id))[-1]
        assert (last.type, last.data) == ("discarded", {"by": "bob"})
        with pytest.raises(NotFoundError, match="among the dead"):
            await hand.journal.discard(run_id, by="bob")

    async def test_only_what_is_on_the_list_can_be_discarded(self, hand: Hand, harness: Harness) -> None:
        going, done, redriven = await hand.at(), await hand.at(), await hand.at()
        await hand.answer(done)
        await hand.redrive(await hand.killed(redriven))
        before = await harness.rows()
        for run_id in (going.lease.run_id, done.lease.run_id, redriven.lease.run_id, ids.new_run_id()):
            with pytest.raises(NotFoundError):
                await hand.journal.discard(run_id, by="bob")
        assert await harness.rows() == before

    async def test_a_discarded_message_is_gone(self, hand: Hand) -> None:
        for text in ("one", "two"):
            await hand.journal.quarantine(message(text))
        one, two = await hand.dead()
        await hand.journal.discard(one, by="bob")
        assert await hand.dead() == [two]
        with pytest.raises(NotFoundError):
            await hand.journal.quarantined(one)
        assert (await hand.journal.quarantined(two)).body == b"two"

    async def test_the_id_of_a_discarded_message_never_names_another(self, hand: Hand) -> None:
        await hand.journal.quarantine(message("one"))
        [first] = await hand.dead()
        await hand.journal.discard(first, by="bob")
        await hand.journal.quarantine(message("two"))
        assert first not in await hand.dead()
        with pytest.raises(NotFoundError):
            await hand.journal.discard(first, by="bob")

    @pytest.mark.parametrize("kind", ["run", "message"])
    async def test_a_discard_whose_commit_reply_was_lost_is_no_error(
        self, hand: Hand, harness: Harness, kind: str
    ) -> None:
        if kind == "run":
            await hand.killed(await hand.at())
        else:
            await hand.journal.quarantine(message())
        [dead_id] = await hand.dead()
        harness.lose_next_commit_reply()
        await hand.journal.discard(dead_id, by="bob")
        assert await hand.dead() == []
        with pytest.raises(NotFoundError):
            await hand.journal.discard(dead_id, by="bob")

    async def test_a_message_whose_commit_reply_was_lost_is_kept(self, hand: Hand, harness: Harness) -> None:
        harness.lose_next_commit_reply()
        await hand.journal.quarantine(message("kept"))
        assert {(await hand.journal.quarantined(dead_id)).body for dead_id in await hand.dead()} == {b"kept"}


class Redriving:
    async def test_a_failed_run_goes_on_where_it_ended_with_a_new_attempt_budget(
        self, hand: Hand, harness: Harness
    ) -> None:
        claim = await hand.at("a", "my card", conversation_id="c1", facts={"a": 1})
        claim = await moved(hand, claim, facts={"b": 2})
        old = claim.lease.run_id
        await hand.fail(claim, TransientError("later"))
        claim = await hand.take(old, 2, "b")
        assert claim.attempt == 2
        await hand.killed(claim)
        new = await hand.redrive(old, by="bob")
        assert (new.took, new.is_new, new.conversation_id) == ("run", True, "c1")
        assert new.run_id != old
        assert [(hop.run_id, hop.seq, hop.agent, hop.from_agent) for hop in new.publish] == [(new.run_id, 2, "b", "a")]
        again = await hand.take(new.run_id, 2, "b")
        assert (again.attempt, again.run.facts) == (1, {"a": 1, "b": 2})
        envelope, before = envelope_of(again), envelope_of(claim)
        assert envelope.run_id == new.run_id
        assert envelope.model_copy(update={"run_id": old}) == before
        assert (await hand.answer(again, "settled")).outcome == "applied"
        result = await hand.journal.result(new.run_id)
        assert (result.status, result.text, result.trail) == ("completed", "settled", ("router", "a", "b"))
        assert await hand.said("c1") == ["my card", "settled"], "the request is not said twice"
        check(await harness.rows())

    async def test_both_runs_tell_what_was_done(self, hand: Hand) -> None:
        old = await hand.killed(await hand.at("a", "my card", tenant="bank"))
        new = (await hand.redrive(old, by="bob")).run_id
        last = (await hand.journal.events(old))[-1]
        assert (last.type, last.seq, last.data) == ("redriven", 1, {"by": "bob", "as": new})
        [first] = await hand.journal.events(new)
        assert (first.type, first.seq, first.data) == ("accepted", 1, {"by": "bob", "redrive_of": old})
        run = await hand.journal.run(new)
        assert (run.redrive_of, run.status, run.tenant, run.text) == (old, "queued", "bank", "my card")
        assert (run.agent, run.error, run.ended_at) == ("a", None, None)
        assert (await hand.journal.run(old)).status == "failed"
        assert await hand.dead() == []

    async def test_a_run_that_failed_at_the_router_is_routed_again(self, hand: Hand, harness: Harness) -> None:
        accepted = await hand.receive("my card", max_hops=3)
        assert accepted.claim is not None
        await hand.killed(accepted.claim)
        new = await hand.redrive(accepted.run_id)
        assert [(hop.seq, hop.agent) for hop in new.publish] == [(0, "router")]
        claim = await hand.take(new.run_id)
        envelope = envelope_of(claim)
        assert (claim.attempt, envelope.request_text, envelope.budget.max_hops) == (1, "my card", 3)
        await hand.routed_by(claim, "b")
        await hand.answer(await hand.take(new.run_id, 1, "b"))
        assert (await hand.journal.result(new.run_id)).trail == ("router", "b")
        check(await harness.rows())

    async def test_what_was_recorded_replays_and_what_was_not_runs_under_the_same_key(self, hand: Hand) -> None:
        called: list[tuple[str, str]] = []

        async def act(what: str, *, idempotency_key: str) -> str:
            called.append((what, idempotency_key))
            if what == "second" and len(called) == 2:
                raise ConnectionError("was it done?")
            return f"{what} done"

        claim = await moved(hand, await hand.at())
        steps = hand.steps(claim)
        assert await steps.call("one", act, ("first",), "keyed", "hop") == "first done"
        with pytest.raises(ConnectionError):
            await steps.call("two", act, ("second",), "keyed", "run")
        new = await hand.redrive(await hand.killed(claim))
        steps = hand.steps(await hand.take(new.run_id, 2, "b"))
        assert await steps.call("one", act, ("first",), "keyed", "hop") == "first done"
        assert await steps.call("two", act, ("second",), "keyed", "run") == "second done"
        assert [what for what, _ in called] == ["first", "second", "second"]
        assert called[1] == called[2], "the same key: the effect happens once"
        assert called[0][1] != called[1][1]
        assert {(step.key, step.status) for step in await hand.journal.steps(new.run_id)} == {
            ("one", "done"),
            ("two", "done"),
        }
        assert [step.key for step in await hand.journal.steps(claim.lease.run_id)] == ["one"]

    async def test_records_of_earlier_hops_come_along(self, hand: Hand) -> None:
        claim = await hand.at()
        await hand.journal.record(claim.lease, a_step(claim, "early", result=b'{"n": 1}', idempotency_key="i1"))
        await hand.journal.record(claim.lease, a_step(claim, "broken off", status="intent", effect="unsafe"))
        before = await hand.journal.steps(claim.lease.run_id)
        new = await hand.redrive(await hand.killed(await moved(hand, claim)))
        assert await hand.journal.steps(new.run_id) == before
        assert {step.key for step in (await hand.take(new.run_id, 2, "b")).steps} == {"early", "broken off"}

    async def test_an_unsafe_step_without_an_outcome_stops_for_a_person_again(self, hand: Hand) -> None:
        paid: list[str] = []

        async def pay(who: str) -> str:
            paid.append(who)
            raise ConnectionError("was it paid?")

        claim = await hand.at()
        with pytest.raises(ConnectionError):
            await hand.steps(claim).call("pay", pay, ("ann",), "unsafe", "hop")
        new = await hand.redrive(await hand.killed(claim))
        with pytest.raises(Suspended) as parked:
            await hand.steps(await hand.take(new.run_id, 1, "a")).call("pay", pay, ("ann",), "unsafe", "hop")
        assert parked.value.wait.kind == "review"
        assert paid == ["ann"]

    async def test_a_redriven_redrive_keeps_the_first_runs_keys(self, hand: Hand) -> None:
        first = await hand.killed(await hand.at())
        second = (await hand.redrive(first)).run_id
        await hand.killed(await hand.take(second, 1, "a"))
        third = (await hand.redrive(second)).run_id
        claim = await hand.take(third, 1, "a")
        assert claim.run.root_run_id == first
        assert [run.redrive_of for run in await hand.journal.runs(RunFilter())] == [None, first, second]
        await hand.answer(claim)
        assert await hand.dead() == []

    async def test_a_run_that_failed_after_an_answered_question_does_not_ask_again(
        self, hand: Hand, harness: Harness
    ) -> None:
        claim = await hand.at(conversation_id="c1")
        await hand.ask(claim, "which?")
        await hand.reply(claim.lease.run_id, "visa")
        old = await hand.killed(await hand.take(claim.lease.run_id, 2, "a"))
        new = await hand.redrive(old)
        again = await hand.take(new.run_id, 2, "a")
        assert (envelope_of(again).kind, envelope_of(again).reply) == ("reply", "visa")
        assert [message.text for message in again.messages] == ["hello", "which?", "visa"]
        await hand.answer(again)
        assert await hand.said("c1") == ["hello", "which?", "visa", "done"]
        assert (await hand.journal.result(new.run_id)).trail == ("router", "a")
        check(await harness.rows())

    async def test_an_answer_that_no_worker_has_seen_yet_is_not_asked_for_again(self, hand: Hand) -> None:
        claim = await hand.at(conversation_id="c1")
        await hand.ask(claim, "which?")
        await hand.reply(claim.lease.run_id, "visa")
        assert (await hand.cancel(claim.lease.run_id)).status == "cancelled"
        new = await hand.redrive(claim.lease.run_id)
        assert envelope_of(await hand.take(new.run_id, 2, "a")).reply == "visa"

    async def test_a_question_that_nobody_answered_is_asked_again(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at(conversation_id="c1", reply_to="q")
        await hand.ask(claim, "which?", deadline_s=60)
        await harness.pass_time(61)
        await hand.journal.sweep()
        assert (await failure(hand, claim.lease.run_id))[0] == "wait_expired"
        new = await hand.redrive(claim.lease.run_id)
        assert [(hop.seq, hop.agent) for hop in new.publish] == [(1, "a")]
        wait_id = await hand.ask(await hand.take(new.run_id, 1, "a"), "which?", deadline_s=60)
        [due] = [due for due in await hand.due() if due.result.run_id == new.run_id]
        assert due.result.question is not None
        assert due.result.question.wait_id == wait_id
        assert (await hand.reply(new.run_id, "visa")).status == "running"
        await hand.answer(await hand.take(new.run_id, 2, "a"))
        check(await harness.rows())

    async def test_a_run_cancelled_while_a_person_decides_asks_that_person_again(
        self, hand: Hand, harness: Harness
    ) -> None:
        claim = await moved(hand, await hand.at())
        await hand.journal.record(claim.lease, a_step(claim, "look"))
        await hand.approve(claim, "refund")
        old = claim.lease.run_id
        assert (await hand.cancel(old)).status == "cancelled"
        new = await hand.redrive(old)
        assert [(hop.seq, hop.agent) for hop in new.publish] == [(2, "b")]
        again = await hand.take(new.run_id, 2, "b")
        assert {step.key for step in again.steps} == {"look"}
        await hand.approve(again, "refund")
        await hand.reply(new.run_id, decision="approve", by="ann")
        approved = await hand.take(new.run_id, 2, "b")
        assert (await hand.steps(approved).approve("refund", "sure?")).granted
        check(await harness.rows())

    async def test_an_approval_that_was_given_holds(self, hand: Hand) -> None:
        claim = await hand.at()
        await hand.approve(claim, "refund")
        await hand.reply(claim.lease.run_id, decision="approve", by="ann")
        new = await hand.redrive(await hand.killed(await hand.take(claim.lease.run_id, 1, "a")))
        approval = await hand.steps(await hand.take(new.run_id, 1, "a")).approve("refund", "sure?")
        assert (approval.granted, approval.by) == (True, "ann")

    async def test_a_run_that_a_person_declined_goes_back_to_who_handed_it_over(
        self, hand: Hand, harness: Harness
    ) -> None:
        claim = await hand.at()
        old = claim.lease.run_id
        await hand.hand(claim, "human", reason="angry")
        assert (await hand.reply(old, decision="reject", reason="spam", by="ann")).status == "failed"
        new = await hand.redrive(old)
        again = await hand.take(new.run_id, 1, "a")
        await hand.hand(again, "human", reason="still angry")
        result = await hand.journal.result(new.run_id)
        assert (result.status, result.trail) == ("waiting", ("router", "a", "human"))
        assert (await hand.reply(new.run_id, "settled", by="bob")).status == "completed"
        check(await harness.rows())

    async def test_a_run_that_a_person_gave_on_stays_with_the_agent_that_got_it(self, hand: Hand) -> None:
        for card in GRAPH.cards.values():
            await hand.journal.register(card)
        claim = await hand.at()
        old = claim.lease.run_id
        await hand.hand(claim, "human")
        await hand.reply(old, handoff="b", by="ann", reason="look")
        await hand.cancel(old)
        new = await hand.redrive(old)
        assert [(hop.seq, hop.agent, hop.from_agent) for hop in new.publish] == [(3, "b", "human")]
        assert envelope_of(await hand.take(new.run_id, 3, "b")).reason == "look"

    async def test_a_hop_that_nobody_ever_took_is_tried_and_not_the_one_before_it(
        self, hand: Hand, harness: Harness
    ) -> None:
        claim = await hand.at(deadline_s=60)
        await hand.hand(claim, "b")
        await harness.pass_time(61)
        await hand.journal.sweep()
        assert (await failure(hand, claim.lease.run_id))[0] == "deadline_exceeded"
        new = await hand.redrive(claim.lease.run_id)
        assert [(hop.seq, hop.agent) for hop in new.publish] == [(2, "b")]

    async def test_a_hop_that_was_handed_back_is_tried_with_its_records(self, hand: Hand) -> None:
        claim = await hand.at()
        await hand.journal.record(claim.lease, a_step(claim, "look"))
        await hand.hand_back(claim)
        await hand.cancel(claim.lease.run_id)
        new = await hand.redrive(claim.lease.run_id)
        assert [(hop.seq, hop.agent) for hop in new.publish] == [(1, "a")]
        assert {step.key for step in (await hand.take(new.run_id, 1, "a")).steps} == {"look"}

    async def test_a_run_cancelled_before_it_had_its_conversation_begins_then(
        self, hand: Hand, harness: Harness
    ) -> None:
        holder = await hand.at("a", "first", conversation_id="c1")
        blocked = await hand.accept("second", conversation_id="c1", facts={"b": 2})
        assert (await hand.cancel(blocked.run_id)).status == "cancelled"
        new = await hand.redrive(blocked.run_id)
        assert new.publish == ()
        assert (await hand.journal.run(new.run_id)).text == "second"
        assert await hand.said("c1") == ["first"]
        finished = await hand.answer(holder)
        assert [(hop.run_id, hop.seq) for hop in finished.publish] == [(new.run_id, 0)]
        assert await hand.said("c1") == ["first", "done", "second"]
        assert (await hand.take(new.run_id)).run.facts == {"b": 2}
        check(await harness.rows())

    async def test_a_redriven_run_queues_behind_those_of_its_conversation(self, hand: Hand, harness: Harness) -> None:
        old = await hand.killed(await hand.at("a", "first", conversation_id="c1"))
        holder = await hand.at("a", "second", conversation_id="c1", facts={"second": 1})
        waiting = await hand.accept("third", conversation_id="c1")
        new = await hand.redrive(old)
        assert new.publish == ()
        assert (await hand.hop(new.run_id, 1)).status == "blocked"
        assert await hand.claim(new.run_id, 1, "a") is None
        assert [hop.run_id for hop in (await hand.answer(holder)).publish] == [waiting.run_id]
        await hand.routed(waiting.run_id)
        ended = await hand.answer(await hand.take(waiting.run_id, 1, "a"))
        assert [(hop.run_id, hop.seq) for hop in ended.publish] == [(new.run_id, 1)]
        claim = await hand.take(new.run_id, 1, "a")
        assert claim.run.facts == {"second": 1}, "what became of the conversation meanwhile holds"
        await hand.answer(claim, "at last")
        assert (await hand.said("c1"))[-1] == "at last"
        check(await harness.rows())

    async def test_a_redriven_run_that_waits_in_line_can_be_cancelled_and_redriven(
        self, hand: Hand, harness: Harness
    ) -> None:
        old = await hand.killed(await hand.at("a", "first", conversation_id="c1"))
        holder = await hand.at("a", "second", conversation_id="c1")
        new = await hand.redrive(old)
        assert (await hand.cancel(new.run_id)).status == "cancelled"
        third = await hand.redrive(new.run_id)
        assert [(hop.run_id, hop.seq) for hop in (await hand.answer(holder)).publish] == [(third.run_id, 1)]
        check(await harness.rows())

    async def test_the_requester_gets_the_new_result_under_an_id_of_its_own(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at(key="k1", reply_to="q", correlation_id="x")
        old = await hand.killed(claim)
        [failed] = await hand.due(retry_s=0.0)
        await hand.journal.sent([failed.delivery_id])
        new = await hand.redrive(old)
        assert await hand.due() == []
        await hand.answer(await hand.take(new.run_id, 1, "a"), "settled")
        [due] = await hand.due()
        assert (due.reply_to, due.correlation_id, due.result.text) == ("q", "x", "settled")
        assert due.message_id != failed.message_id
        assert deliveries(await harness.rows()) == [("q", "x", False)] * 2

    async def test_a_deadline_begins_anew(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at(deadline_s=60)
        await harness.pass_time(61)
        await hand.journal.sweep()
        await hand.hand_back(claim)
        await harness.pass_time(30)
        await hand.journal.sweep()
        assert await hand.status(claim.lease.run_id) == "failed"
        new = await hand.redrive(claim.lease.run_id)
        run = await hand.journal.run(new.run_id)
        assert run.deadline_at == pytest.approx(run.accepted_at + 60)
        assert (await hand.journal.sweep()).ended == ()
        assert (await hand.take(new.run_id, 1, "a")).attempt == 1

    async def test_a_run_is_redriven_once(self, hand: Hand, harness: Harness) -> None:
        old = await hand.killed(await hand.at())
        new = await hand.redrive(old)
        before = await harness.rows()
        with pytest.raises(RequestError, match=f"redriven before, as {new.run_id}") as caught:
            await hand.redrive(old)
        assert caught.value.code == "not_dead"
        assert await harness.rows() == before

    async def test_of_two_who_redrive_it_at_once_one_does(self, hand: Hand, other: Hand, harness: Harness) -> None:
        for n in range(10):
            old = await hand.killed(await hand.at(conversation_id=f"c{n}"))
            seen = await asyncio.gather(hand.redrive(old), other.redrive(old), return_exceptions=True)
            refused = [one for one in seen if isinstance(one, BaseException)]
            assert [type(one) for one in refused] == [RequestError], seen
        assert len((await harness.rows())["runs"]) == 20
        check(await harness.rows())

    async def test_what_goes_on_or_has_its_answer_is_not_redriven(self, hand: Hand, harness: Harness) -> None:
        running, done, waiting = [await hand.at() for _ in range(3)]
        queued = await hand.accept()
        await hand.answer(done)
        await hand.ask(waiting)
        before = await harness.rows()
        for run_id, status in (
            (running.lease.run_id, "running"),
            (done.lease.run_id, "completed"),
            (waiting.lease.run_id, "waiting"),
            (queued.run_id, "queued"),
        ):
            with pytest.raises(RequestError, match=f"the run is {status}"):
                await hand.redrive(run_id)
        assert await harness.rows() == before

    async def test_a_redrive_is_known_by_its_new_id(self, hand: Hand, harness: Harness) -> None:
        old = await hand.killed(await hand.at())
        new = await hand.redrive(old)
        before = await harness.rows()
        again = await hand.redrive(old, new.run_id)
        assert (again.run_id, again.conversation_id) == (new.run_id, new.conversation_id)
        assert await harness.rows() == before

    async def test_a_redrive_whose_commit_reply_was_lost_is_one_run(self, hand: Hand, harness: Harness) -> None:
        old = await hand.killed(await hand.at(reply_to="q"))
        harness.lose_next_commit_reply()
        new = await hand.redrive(old)
        assert (new.took, len((await harness.rows())["runs"])) == ("run", 2)
        await hand.answer(await hand.take(new.run_id, 1, "a"))
        assert [event.type for event in await hand.journal.events(old)].count("redriven") == 1

    async def test_a_discarded_run_can_still_be_redriven(self, hand: Hand) -> None:
        old = await hand.killed(await hand.at())
        await hand.journal.discard(old, by="bob")
        assert len((await hand.redrive(old)).publish) == 1
        assert await hand.dead() == []

    async def test_a_redriven_run_that_fails_again_is_listed_alone(self, hand: Hand) -> None:
        new = await hand.redrive(await hand.killed(await hand.at()))
        await hand.killed(await hand.take(new.run_id, 1, "a"))
        assert await hand.dead() == [new.run_id]

    async def test_a_run_that_is_not_there_is_told(self, hand: Hand, harness: Harness) -> None:
        with pytest.raises(NotFoundError, match="no run"):
            await hand.redrive(ids.new_run_id())
        old = await hand.killed(await hand.at(key="k1", conversation_id="c1"))
        await harness.pass_time(3600)
        await hand.at(conversation_id="c1")
        assert await hand.journal.prune(older_than_s=60, is_dry=False) == 1
        assert await hand.dead() == []
        with pytest.raises(NotFoundError, match="no run"):
            await hand.redrive(old)

    async def test_a_redriven_run_outlives_the_one_that_it_came_from(self, hand: Hand, harness: Harness) -> None:
        old = await hand.killed(await hand.at("a", "my card", conversation_id="c1"))
        new = await hand.redrive(old)
        await harness.pass_time(3600)
        assert await hand.journal.prune(older_than_s=60, is_dry=False) == 1
        claim = await hand.take(new.run_id, 1, "a")
        assert envelope_of(claim).request_text == "my card"
        assert claim.run.root_run_id == old
        assert (await hand.journal.run(new.run_id)).text == "my card"
        await hand.answer(claim)
        assert await hand.status(new.run_id) == "completed"
