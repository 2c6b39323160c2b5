"""Results and questions on their way to requesters: each at least once, none for ever."""

import asyncio

from baton.journal.messages import DueResult
from tests.support.journals import Hand, Harness


def addresses(due: list[DueResult]) -> list[str]:
    return sorted(result.reply_to for result in due)


async def cancelled(hand: Hand, *, reply_to: str = "q") -> str:
    """Return a run that has ended, whose result is to be sent."""
    accepted = await hand.accept(reply_to=reply_to)
    await hand.cancel(accepted.run_id)
    return accepted.run_id


class Results:
    async def test_a_result_is_due_with_all_that_its_message_needs(self, hand: Hand) -> None:
        claim = await hand.at(conversation_id="c1", facts={"a": 1}, reply_to="q", correlation_id="x")
        assert await hand.due() == []
        await hand.answer(claim, "settled", data={"case": 7})
        [due] = await hand.due()
        assert (due.reply_to, due.correlation_id) == ("q", "x")
        result = due.result
        assert result == await hand.journal.result(claim.lease.run_id)
        assert (result.status, result.text, result.data, result.facts) == (
            "completed",
            "settled",
            {"case": 7},
            {"a": 1},
        )
        assert (result.trail, result.agent, result.question) == (("router", "a"), "a", None)

    async def test_a_result_without_a_correlation_has_none(self, hand: Hand) -> None:
        await cancelled(hand)
        [due] = await hand.due()
        assert due.correlation_id is None
        assert due.result.error is not None
        assert due.result.error.code == "cancelled"

    async def test_the_trace_of_the_request_goes_with_its_result(self, hand: Hand) -> None:
        accepted = await hand.receive(reply_to="q", traceparent="00-aa-bb-01", tracestate="x=1")
        assert accepted.claim is not None
        await hand.killed(accepted.claim)
        [due] = await hand.due()
        assert (due.traceparent, due.tracestate) == ("00-aa-bb-01", "x=1")

    async def test_a_result_is_due_once_until_the_time_to_retry(self, hand: Hand, harness: Harness) -> None:
        await cancelled(hand)
        [first] = await hand.due(retry_s=60)
        await harness.pass_time(59)
        assert await hand.due(retry_s=60) == []
        await harness.pass_time(2)
        [again] = await hand.due(retry_s=60)
        assert again == first, "the same message under the same id"
        assert await hand.due() == []

    async def test_what_was_sent_is_not_due_again(self, hand: Hand, harness: Harness) -> None:
        await cancelled(hand)
        [due] = await hand.due()
        await hand.journal.sent([due.delivery_id])
        await harness.pass_time(1e6)
        assert await hand.due() == []
        await hand.journal.sent([due.delivery_id])
        await hand.journal.sent(["never heard of"], undeliverable=["nor of this"])

    async def test_every_address_has_its_own_delivery_of_the_one_message(self, hand: Hand) -> None:
        accepted = await hand.accept(key="k1", reply_to="q1", correlation_id="x")
        await hand.accept(key="k1", reply_to="q1", correlation_id="y")
        await hand.accept(key="k1", reply_to="q2")
        await hand.cancel(accepted.run_id)
        due = await hand.due()
        assert sorted((one.reply_to, one.correlation_id) for one in due if one.correlation_id) == [
            ("q1", "x"),
            ("q1", "y"),
        ]
        assert addresses(due) == ["q1", "q1", "q2"]
        assert len({one.delivery_id for one in due}) == 3
        assert len({one.message_id for one in due}) == 1
        await hand.journal.sent([one.delivery_id for one in due if one.reply_to == "q1"])
        assert addresses(await hand.due(retry_s=0.0)) == []

    async def test_what_was_not_ticked_off_comes_again_and_the_rest_does_not(
        self, hand: Hand, harness: Harness
    ) -> None:
        for name in ("q1", "q2", "q3"):
            await cancelled(hand, reply_to=name)
        due = await hand.due(retry_s=60)
        await hand.journal.sent([one.delivery_id for one in due if one.reply_to == "q2"])
        await harness.pass_time(61)
        assert addresses(await hand.due()) == ["q1", "q3"]

    async def test_a_question_is_due_while_it_stands(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at(conversation_id="c1", reply_to="q", correlation_id="x")
        wait_id = await hand.ask(claim, "which?", options=["visa", "amex"])
        [due] = await hand.due(retry_s=60)
        assert (due.result.status, due.correlation_id) == ("waiting", "x")
        assert due.result.question is not None
        question = due.result.question
        assert (question.wait_id, question.question, question.options) == (wait_id, "which?", ("visa", "amex"))
        await hand.reply(claim.lease.run_id, "visa")
        await harness.pass_time(61)
        assert await hand.due() == [], "it has its answer"
        await hand.answer(await hand.take(claim.lease.run_id, 2, "a"))
        [result] = await hand.due()
        assert result.result.status == "completed"
        assert result.message_id != due.message_id
        assert result.delivery_id != due.delivery_id

    async def test_only_the_question_that_stands_is_sent(self, hand: Hand) -> None:
        claim = await hand.at(conversation_id="c1", reply_to="q")
        await hand.ask(claim, "first?")
        await hand.reply(claim.lease.run_id, "yes")
        await hand.ask(await hand.take(claim.lease.run_id, 2, "a"), "second?")
        [due] = await hand.due()
        assert due.result.question is not None
        assert due.result.question.question == "second?"

    async def test_a_question_that_has_its_answer_is_never_looked_at_again(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at(conversation_id="c1", reply_to="q")
        await hand.ask(claim)
        await hand.reply(claim.lease.run_id, "visa")
        assert await hand.due() == []
        assert "pending" not in [row["status"] for row in (await harness.rows())["deliveries"]]

    async def test_a_question_whose_run_has_ended_is_not_sent_but_the_result_is(self, hand: Hand) -> None:
        claim = await hand.at(conversation_id="c1", reply_to="q")
        await hand.ask(claim)
        await hand.cancel(claim.lease.run_id)
        [due] = await hand.due()
        assert (due.result.status, due.result.question) == ("cancelled", None)

    async def test_what_has_nowhere_to_go_is_noted_once_and_not_tried_again(self, hand: Hand, harness: Harness) -> None:
        run_id = await cancelled(hand, reply_to="gone")
        [due] = await hand.due(retry_s=60)
        for _ in range(2):
            await hand.journal.sent([], undeliverable=[due.delivery_id])
        await harness.pass_time(61)
        assert await hand.due() == []
        events = await hand.journal.events(run_id)
        assert [event.type for event in events] == ["accepted", "cancelled", "undeliverable"]
        assert events[-1].data == {"reply_to": "gone"}

    async def test_what_was_sent_cannot_become_undeliverable(self, hand: Hand) -> None:
        run_id = await cancelled(hand)
        [due] = await hand.due()
        await hand.journal.sent([due.delivery_id], undeliverable=[due.delivery_id])
        await hand.journal.sent([], undeliverable=[due.delivery_id])
        assert [event.type for event in await hand.journal.events(run_id)] == ["accepted", "cancelled"]

    async def test_an_address_that_was_undeliverable_does_not_hold_up_the_others(self, hand: Hand) -> None:
        accepted = await hand.accept(key="k1", reply_to="gone")
        await hand.accept(key="k1", reply_to="here")
        await hand.cancel(accepted.run_id)
        due = {one.reply_to: one.delivery_id for one in await hand.due(retry_s=0.0)}
        await hand.journal.sent([], undeliverable=[due["gone"]])
        assert addresses(await hand.due()) == ["here"]

    async def test_the_oldest_are_taken_first_and_never_more_than_asked_for(self, hand: Hand, harness: Harness) -> None:
        for n in range(5):
            await cancelled(hand, reply_to=f"q{n}")
            await harness.pass_time(1)
        assert addresses(await hand.due(limit=2)) == ["q0", "q1"]
        assert addresses(await hand.due(limit=2)) == ["q2", "q3"]
        assert addresses(await hand.due(limit=2)) == ["q4"]

    async def test_two_routers_at_once_never_take_the_same_one(self, hand: Hand, other: Hand) -> None:
        for n in range(40):
            await cancelled(hand, reply_to=f"q{n}")
        takers = [worker.due(limit=5) for _ in range(6) for worker in (hand, other)]
        taken = [result.delivery_id for due in await asyncio.gather(*takers) for result in due]
        assert len(taken) == len(set(taken))
        rest = [result.delivery_id for result in await hand.due()]
        assert len({*taken, *rest}) == len(taken) + len(rest) == 40

    async def test_what_was_taken_without_anyone_being_told_is_due_again(self, hand: Hand, harness: Harness) -> None:
        await cancelled(hand)
        harness.lose_next_commit_reply()
        found = await hand.due(retry_s=60)
        await harness.pass_time(61)
        found += await hand.due(retry_s=60)
        assert {result.reply_to for result in found} == {"q"}

    async def test_a_tick_whose_commit_reply_was_lost_counts_once(self, hand: Hand, harness: Harness) -> None:
        sent, gone = await cancelled(hand, reply_to="here"), await cancelled(hand, reply_to="gone")
        due = {one.reply_to: one.delivery_id for one in await hand.due(retry_s=0.0)}
        harness.lose_next_commit_reply()
        await hand.journal.sent([due["here"]], undeliverable=[due["gone"]])
        assert await hand.due() == []
        for run_id, count in ((sent, 0), (gone, 1)):
            types = [event.type for event in await hand.journal.events(run_id)]
            assert types.count("undeliverable") == count
