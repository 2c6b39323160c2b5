"""Whole runs: requests, routes, handoffs and what crosses them."""

from typing import Any

import pytest
from pydantic import BaseModel

from baton import Agent, Answer, Ask, Group, Handoff, Message, Team, Turn
from baton.outcome import Outcome
from baton.testing import ScriptedClassifier, scripted_agent, serve
from tests.support.teams import a_team, an_agent

LONG = "x" * 300_000


async def test_a_request_is_routed_handed_off_with_its_facts_and_answered() -> None:
    cards = an_agent("a", lambda turn: Handoff("b", reason="unknown payment", facts={"card": "frozen"}))
    disputes = an_agent("b", lambda turn: Answer(f"the card is {turn.facts['card']}", data={"case": 7}), entry=False)
    async with serve(a_team(cards >> disputes)) as served:
        result = await served.send("my card was stolen", facts={"customer": 5})
        assert (result.status, result.text, result.data, result.agent) == (
            "completed",
            "the card is frozen",
            {"case": 7},
            "b",
        )
        assert (result.trail, result.facts) == (("router", "a", "b"), {"customer": 5, "card": "frozen"})
        events = await served.journal.events(result.run_id)
        assert [event.type for event in events] == ["accepted", "routed", "handoff", "handoff", "answer"]
        hops = await served.journal.hops(result.run_id)
        assert [(hop.agent, hop.status, hop.attempt) for hop in hops] == [
            ("router", "done", 1),
            ("a", "done", 1),
            ("b", "done", 1),
        ]


@pytest.mark.parametrize(
    ("transfer", "summary", "crossing"),
    [
        ("full", None, ["hello", "which?", "this"]),
        (1, None, ["this"]),
        (0, None, []),
        ("summary", "he wants this", []),
        (lambda log: [message for message in log if message.role == "user"], None, ["hello", "this"]),
    ],
    ids=["full", "last", "none", "summary", "function"],
)
async def test_the_receiver_sees_what_was_transferred_and_can_read_the_rest(
    transfer: Any, summary: str | None, crossing: list[str]
) -> None:
    first = scripted_agent("a", Ask("which?"), Handoff("b", transfer=transfer, summary=summary))
    second = Agent("b", "Reads")
    seen: dict[str, Any] = {}

    @second.turn
    async def read(turn: Turn) -> Answer:
        seen.update(text=turn.text, messages=turn.messages, summary=turn.summary, history=await turn.history())
        return Answer("read")

    async with serve(a_team(first >> second)) as served:
        waiting = await served.send("hello")
        assert (await served.reply(waiting, "this")).text == "read"
    assert [message.text for message in seen["messages"]] == crossing
    assert (seen["text"], seen["summary"]) == ("hello", summary)
    assert [message.text for message in seen["history"]] == ["hello", "which?", "this"]
    assert [message.role for message in seen["history"]] == ["user", "agent", "user"]


async def test_a_transfer_that_cannot_be_done_fails_the_run_and_says_why() -> None:
    for transfer, told in (("summary", "needs summary"), (-1, "0 or more"), ("all", "allowed are")):
        cards = scripted_agent("a", Handoff("b", transfer=transfer))  # type: ignore[arg-type]
        async with serve(a_team(cards >> scripted_agent("b", Answer("never")))) as served:
            result = await served.send("hello")
            assert result.error is not None
            assert (result.status, result.error.code) == ("failed", "bad_outcome")
            assert told in result.error.message


async def test_a_context_too_large_for_the_wire_arrives_whole() -> None:
    first = an_agent("a", lambda turn: Handoff("b", transfer="summary", summary=LONG))
    second = an_agent("b", lambda turn: Answer(str(len(turn.summary or "")), data=turn.text))
    async with serve(a_team(first >> second)) as served:
        result = await served.send("hello")
        assert (result.text, result.data) == ("300000", "hello")


async def test_a_long_answer_of_one_run_crosses_to_the_agents_of_the_next() -> None:
    talker = scripted_agent("a", Answer(LONG), Handoff("b"))
    reader = an_agent("b", lambda turn: Answer(str([len(message.text) for message in turn.messages])))
    async with serve(a_team(talker >> reader)) as served:
        first = await served.send("one", conversation_id="c1")
        assert first.status == "completed"
        second = await served.send("two", conversation_id="c1")
        assert second.text == "[3, 300000, 3]"


class NeedsCustomer(BaseModel):
    customer: int


async def test_facts_that_the_target_needs_are_checked_before_the_handoff() -> None:
    team = a_team(
        an_agent("a", lambda turn: Handoff("b")) >> an_agent("b", lambda turn: Answer("ok"), needs=NeedsCustomer)
    )
    async with serve(team) as served:
        lacking = await served.send("hello")
        assert lacking.error is not None
        assert lacking.error.code == "facts"
        assert "'b' needs facts that satisfy NeedsCustomer" in lacking.error.message
        assert (await served.send("hello", facts={"customer": 7})).text == "ok"


async def test_a_person_can_be_given_the_run_and_can_give_it_on() -> None:
    async with serve(team_with_desk()) as served:
        waiting = await served.send("hello")
        assert waiting.question is not None
        assert (waiting.status, waiting.question.kind, waiting.question.question) == ("waiting", "human", "angry")
        done = await served.reply(waiting, handoff="b", reason="yours", by="ann")
        assert (done.status, done.text) == ("completed", "from human: yours")
        assert done.trail == ("router", "a", "human", "b")
        settled = await served.reply(await served.send("again"), "all settled", by="ann")
        assert (settled.status, settled.text, settled.agent) == ("completed", "all settled", "human")


def taken_by_b(turn: Turn) -> Answer:
    return Answer(f"from {turn.from_agent}: {turn.reason}")


def team_with_desk() -> Team:
    first = an_agent("a", lambda turn: Handoff("human", reason="angry"))
    return Team("desk", agents=[first, an_agent("b", taken_by_b)], classifier=ScriptedClassifier(default="a"))


async def test_an_agent_can_ask_the_router_for_another_and_is_not_chosen_again() -> None:
    def tries(turn: Turn) -> Outcome:
        return Handoff("router", reason="not mine")

    agents = [an_agent("a", tries), an_agent("b", lambda turn: Answer("mine"))]
    team = Team("desk", agents=agents, classifier=FirstOther())
    async with serve(team) as served:
        result = await served.send("hello")
        assert (result.trail, result.text) == (("router", "a", "router", "b"), "mine")


class FirstOther(ScriptedClassifier):
    """Chooses the first card that it is offered."""

    def classify(self, text: str, cards: Any) -> Any:
        return ScriptedClassifier(default=cards[0].name).classify(text, cards)


async def test_a_group_hands_off_both_ways() -> None:
    first = an_agent("a", lambda turn: Handoff("b", facts={"n": 1}) if "n" not in turn.facts else Answer("back"))
    second = an_agent("b", lambda turn: Handoff("a"))
    async with serve(a_team(Group(first, second))) as served:
        assert (await served.send("hello")).trail == ("router", "a", "b", "a")


async def test_a_request_may_name_its_agent_and_skip_the_classifier() -> None:
    team = a_team(
        agents=[an_agent("a", lambda turn: Answer("a")), an_agent("b", lambda turn: Answer("b"), entry=False)]
    )
    async with serve(team) as served:
        assert (await served.send("hello", to="b")).text == "b"
        unknown = await served.send("hello", to="nobody")
        assert unknown.error is not None
        assert (unknown.status, unknown.error.code) == ("failed", "unknown_agent")
        assert "'nobody', which is not registered; registered are a, b" in unknown.error.message


async def test_a_request_that_nobody_takes_fails_with_the_scores_or_goes_to_the_fallback() -> None:
    unsure = ScriptedClassifier({"card": "a"})
    alone = Team("desk", agents=[scripted_agent("a", Answer("a"))], classifier=unsure)
    async with serve(alone) as served:
        failed = await served.send("weather")
        assert failed.error is not None
        assert (failed.error.code, failed.error.details) == ("no_agent", {"scores": {"a": 0.0}})
    backed = Team("desk", agents=[scripted_agent("a", Answer("a"))], fallback="human", classifier=unsure)
    async with serve(backed) as served:
        waiting = await served.send("weather")
        assert waiting.question is not None
        assert waiting.question.kind == "human"


async def test_a_named_skill_has_its_own_handler() -> None:
    cards = an_agent("a", lambda turn: Answer(f"default {turn.skill}"))

    @cards.skill("freeze", examples=["freeze my card"])
    async def freeze(turn: Turn) -> Answer:
        return Answer(f"skill {turn.skill}")

    team = Team("desk", agents=[cards], classifier=ScriptedClassifier({"freeze": "a/freeze"}, default="a/other"))
    async with serve(team) as served:
        assert (await served.send("freeze it")).text == "skill freeze"
        assert (await served.send("hello")).text == "default other"


async def test_data_of_an_answer_and_of_messages_crosses_unchanged() -> None:
    data = {"n": 12345678901234567890, "f": 0.1, "s": "é\u0000x", "l": [None, True]}
    talker = scripted_agent("a", Answer("one", data=data), Handoff("b"))
    seen: list[Message] = []

    def read(turn: Turn) -> Answer:
        seen.extend(turn.messages)
        return Answer("read")

    async with serve(a_team(talker >> an_agent("b", read))) as served:
        assert (await served.send("one", conversation_id="c1")).data == data
        await served.send("two", conversation_id="c1")
    assert seen[1].data == data
