"""Whole runs that stand still: for their user, an approval, a person at the desk, or a review."""

import asyncio
from typing import Any

import pytest

from baton import Answer, Ask, Handoff, NotWaitingError, RequestError, Result, Turn
from baton.testing import scripted_agent, serve
from tests.support.teams import a_team, an_agent
from tests.support.waiting import until


async def test_an_agent_asks_its_user_and_gets_the_reply() -> None:
    def take(turn: Turn) -> Any:
        if turn.reply is None:
            return Ask("which card?", options=["visa", "amex"], facts={"asked": True})
        return Answer(f"{turn.reply} for {turn.text}", data=[turn.kind, turn.facts])

    async with serve(a_team(agents=[an_agent("a", take)])) as served:
        waiting = await served.send("my card")
        assert waiting.question is not None
        assert (waiting.status, waiting.question.kind) == ("waiting", "user")
        assert (waiting.question.question, waiting.question.options) == ("which card?", ("visa", "amex"))
        done = await served.reply(waiting, "visa")
        assert (done.status, done.text, done.data) == ("completed", "visa for my card", ["reply", {"asked": True}])
        assert done.trail == ("router", "a")


async def test_a_request_to_the_conversation_that_waits_is_the_reply_and_may_add_facts() -> None:
    def take(turn: Turn) -> Any:
        return Answer(f"{turn.reply} {turn.facts}") if turn.reply else Ask("which?")

    async with serve(a_team(agents=[an_agent("a", take)])) as served:
        first = await served.start("my card", conversation_id="c1")
        await first.result()
        second = await served.start("visa", conversation_id="c1", facts={"card": "visa"})
        assert second.run_id == first.run_id
        assert (await second.result()).text == "visa {'card': 'visa'}"


def asks_for_approval(turn: Turn) -> Any:
    async def take() -> Answer:
        looked = await turn.step("look", lambda: len(calls.append("look") or calls))
        approval = await turn.approve("refund", "refund 500?", deadline_s=0.05 if turn.text == "fast" else None)
        return Answer(f"{approval.granted} by {approval.by}: {approval.reason}", data=[looked, turn.attempt])

    return take()


calls: list[str] = []


@pytest.fixture(autouse=True)
def no_calls() -> None:
    calls.clear()


@pytest.mark.parametrize(("decision", "text"), [("approve", "True by ann: fine"), ("reject", "False by ann: fine")])
async def test_an_approval_suspends_the_turn_and_replays_it_with_the_answer(decision: Any, text: str) -> None:
    async with serve(a_team(agents=[an_agent("a", asks_for_approval)])) as served:
        waiting = await served.send("refund")
        assert waiting.question is not None
        assert (waiting.question.kind, waiting.question.question) == ("approval", "refund 500?")
        done = await served.reply(waiting, decision=decision, reason="fine", by="ann")
        assert (done.text, done.data) == (text, [1, 1])
        assert calls == ["look"]


async def test_an_approval_that_nobody_gives_in_time_is_a_refusal() -> None:
    async with serve(a_team(agents=[an_agent("a", asks_for_approval)])) as served:
        run = await served.start("fast")
        done = await run.result(through_waits=True)
        assert done.text == "False by deadline: nobody answered within 0.05 s"


@pytest.mark.parametrize("on_timeout", ["fail", "escalate"])
async def test_a_question_that_nobody_answers_in_time_fails_or_goes_to_a_person(on_timeout: Any) -> None:
    asks = scripted_agent("a", Ask("which?", deadline_s=0.05, on_timeout=on_timeout))
    async with serve(a_team(agents=[asks])) as served:
        run = await served.start("hello")

        async def moved() -> Result | None:
            result = await served.journal.result(run.run_id)
            is_at_desk = result.question is not None and result.question.kind == "human"
            return result if result.has_ended or is_at_desk else None

        result = await until(moved)
        assert result is not None
        if on_timeout == "fail":
            assert result.error is not None
            assert (result.status, result.error.code) == ("failed", "wait_expired")
        else:
            assert (await served.reply(result, "sorry", by="ann")).text == "sorry"


async def test_two_replies_to_one_wait_have_one_effect_and_the_second_is_told() -> None:
    def take(turn: Turn) -> Any:
        return Answer(f"got {turn.reply}") if turn.reply else Ask("which?")

    async with serve(a_team(agents=[an_agent("a", take)])) as served:
        waiting = await served.send("hello", conversation_id="c1")
        replies = [served.client.reply(waiting.run_id, text, by="ann") for text in ("one", "two")]
        seen = await asyncio.gather(*replies, return_exceptions=True)
        [refused] = [one for one in seen if isinstance(one, BaseException)]
        assert isinstance(refused, NotWaitingError)
        assert refused.outcome == "answered by ann: 'one'"
        assert (await served.client.result(waiting.run_id)).text == "got one"
        log = await served.journal.history("default", "c1")
        assert [message.text for message in log] == ["hello", "which?", "one", "got one"]


async def test_a_reply_that_does_not_fit_is_refused_and_the_run_waits_on() -> None:
    async with serve(a_team(agents=[scripted_agent("a", Ask("which?"), Answer("done"))])) as served:
        waiting = await served.send("hello")
        for bad in ({"decision": "approve"}, {"handoff": "a"}, {"text": " "}, {"text": "a\0"}, {}):
            with pytest.raises(RequestError):
                await served.client.reply(waiting.run_id, **bad)  # type: ignore[arg-type]
        assert (await served.reply(waiting, "this")).status == "completed"


class Bank:
    """Pays, and loses the reply the first time."""

    def __init__(self) -> None:
        self.paid: list[int] = []

    def pay(self, amount: int) -> dict[str, int]:
        self.paid.append(amount)
        if len(self.paid) == 1:
            raise ConnectionError("the reply was lost")
        return {"id": len(self.paid)}


def pays(bank: Bank) -> Any:
    async def take(turn: Turn) -> Answer:
        receipt = await turn.step("pay", bank.pay, 10, effect="unsafe")
        return Answer(f"receipt {receipt}")

    return an_agent("a", take)


@pytest.mark.parametrize(
    ("answer", "status", "text", "paid"),
    [
        ({"decision": "approve"}, "completed", "receipt {'id': 2}", 2),
        ({"text": '{"id": 77}'}, "completed", "receipt {'id': 77}", 1),
        ({"decision": "reject", "reason": "check by hand"}, "failed", None, 1),
    ],
)
async def test_an_unsafe_step_with_an_unknown_outcome_stops_for_a_review(
    answer: dict[str, Any], status: str, text: str | None, paid: int
) -> None:
    bank = Bank()
    async with serve(a_team(agents=[pays(bank)])) as served:
        waiting = await served.send("pay")
        assert waiting.question is not None
        assert waiting.question.kind == "review"
        assert "its outcome is not known" in waiting.question.question
        assert len(bank.paid) == 1
        done = await served.reply(waiting, by="ann", **answer)
        assert (done.status, done.text, len(bank.paid)) == (status, text, paid)
        if status == "failed":
            assert done.error is not None
            assert "ann stopped the run at step 'pay': check by hand" in done.error.message


async def test_a_run_that_waits_for_a_person_lets_the_conversation_go_on() -> None:
    async with serve(
        a_team(agents=[an_agent("a", asks_for_approval), scripted_agent("b", Answer("meanwhile"))])
    ) as served:
        waiting = await served.send("refund", conversation_id="c1")
        assert (await served.send("other", conversation_id="c1", to="b")).text == "meanwhile"
        assert (await served.reply(waiting, decision="approve")).status == "completed"
        log = await served.journal.history("default", "c1")
        assert [message.text for message in log][:3] == ["refund", "other", "meanwhile"]


async def test_a_follower_waits_until_the_user_has_answered() -> None:
    def take(turn: Turn) -> Any:
        return Ask("which?") if turn.text == "one" and turn.reply is None else Answer(f"{turn.text} {turn.reply}")

    async with serve(a_team(agents=[an_agent("a", take)])) as served:
        waiting = await served.send("one", conversation_id="c1")
        assert (await served.reply(waiting, "two")).text == "one two"
        assert (await served.send("three", conversation_id="c1")).text == "three None"


async def test_a_person_can_decline_a_run() -> None:
    async with serve(a_team(agents=[scripted_agent("a", Handoff("human", reason="angry"))])) as served:
        done = await served.reply(await served.send("hello"), decision="reject", reason="spam", by="ann")
        assert done.error is not None
        assert (done.status, done.error.code, done.error.message) == ("failed", "declined", "ann declined: spam")
        assert done.agent == "human"
