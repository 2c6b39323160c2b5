"""A reply about something else: what the agent is told of it, and where it goes by itself."""

import threading
from collections.abc import Sequence

import pytest
from pydantic import BaseModel

from baton import Agent, Answer, Ask, Card, Handoff, RouteDecision, Rule, Team, Turn
from baton.hop import recognition
from baton.outcome import Shift
from baton.request import Result
from baton.routing.offline import OfflineClassifier
from baton.testing import ScriptedClassifier, serve

WORDS = ScriptedClassifier({"card": "cards", "loan": "loans", "trip": "travel"}, default="loans")


def desk(*, auto_handoff: bool, declared: bool = True) -> tuple[Team, list[str]]:
    """A desk where loans asks, and who got the reply is noted with what it saw."""
    loans = Agent("loans", "Loans", auto_handoff=auto_handoff)
    cards, travel = Agent("cards", "Cards", auto_handoff=auto_handoff), Agent("travel", "Trips")
    seen: list[str] = []

    @loans.turn
    async def lend(turn: Turn) -> Answer | Ask:
        if turn.reply is None:
            return Ask("For how long?")
        seen.append(f"loans: {turn.reply}, {turn.shift and (turn.shift.targets[0][0], turn.shift.confident)}")
        return Answer("lent")

    @cards.turn
    async def freeze(turn: Turn) -> Answer | Ask | Handoff:
        if turn.messages[-1].text == "a card to lend on":
            return Handoff(loans)
        seen.append(f"cards: {turn.messages[-1].text}, {turn.reason}")
        return Ask("Which one?") if turn.reply is None else Answer("frozen")

    @travel.turn
    async def book(turn: Turn) -> Answer:
        seen.append("travel")
        return Answer("booked")

    edges = [loans >> cards, cards >> loans] if declared else [cards >> loans]
    return Team("desk", edges, agents=[loans, cards, travel], classifier=WORDS), seen


async def steps_of(team: object, result: Result) -> list[str]:
    return [step.key for step in await team.journal.steps(result.run_id)]  # type: ignore[attr-defined]


async def test_an_agent_is_told_of_a_shift_and_decides_itself() -> None:
    team, seen = desk(auto_handoff=False)
    async with serve(team) as served:
        asked = await served.send("a loan please")
        ended = await served.reply(asked, "my card is gone")
        assert ended.text == "lent"
        assert await steps_of(served, ended) == ["baton.recognise"]
    assert seen == ["loans: my card is gone, ('cards', True)"]


async def test_a_reply_that_is_to_the_point_is_no_shift() -> None:
    team, seen = desk(auto_handoff=True)
    async with serve(team) as served:
        ended = await served.reply(await served.send("a loan please"), "a year")
        assert ended.text == "lent"
    assert seen == ["loans: a year, None"]


@pytest.mark.parametrize("declared", [True, False])
async def test_a_confident_shift_moves_by_itself(*, declared: bool) -> None:
    team, seen = desk(auto_handoff=True, declared=declared)
    async with serve(team) as served:
        asked = await served.reply(await served.send("a loan please"), "my card is gone")
        assert (asked.status, asked.agent) == ("waiting", "cards")
        assert asked.question
        assert asked.question.question == "Which one?"
        moved = [event.data for event in await served.journal.events(asked.run_id) if event.type == "handoff"]
    by = "cards" if declared else "router"
    assert (moved[1]["from"], moved[1]["to"]) == ("loans", by)
    assert moved[1]["reason"] == "the user's reply is about cards (100%)"
    assert len(seen) == 1
    assert seen[0].startswith("cards: my card is gone")


class Needed(BaseModel):
    card_id: str


async def test_what_the_target_needs_is_not_there_so_the_agent_decides() -> None:
    team, seen = desk(auto_handoff=True)
    team.agents["cards"].needs = Needed
    async with serve(team) as served:
        assert (await served.reply(await served.send("a loan please"), "my card is gone")).text == "lent"
    assert seen == ["loans: my card is gone, ('cards', True)"]


async def test_through_the_router_it_does_not_go_back_either() -> None:
    """A rule on facts would give the run back to the agent that it came from."""
    team, seen = desk(auto_handoff=True, declared=False)
    front = Agent("front", "Kiosks", handoffs=["loans"], rules=[Rule(facts={"channel": "kiosk"})])

    @front.turn
    async def hand_on(turn: Turn) -> Handoff:
        return Handoff("loans")

    edges = [front >> team.agents["loans"]]
    team = Team("desk", edges, agents=[*team.agents.values()], classifier=WORDS)
    async with serve(team) as served:
        asked = await served.send("a loan please", facts={"channel": "kiosk"})
        asked = await served.reply(asked, "my card is gone")
        assert (asked.status, asked.agent) == ("waiting", "cards")
    assert len(seen) == 1


async def test_after_an_approval_the_turn_sees_the_same_shift() -> None:
    loans, cards = Agent("loans", "Loans"), Agent("cards", "Cards")
    seen: list[bool] = []

    @cards.turn
    async def freeze(turn: Turn) -> Answer:
        return Answer("frozen")

    @loans.turn
    async def lend(turn: Turn) -> Answer | Ask:
        if turn.reply is None:
            return Ask("For how long?")
        seen.append(turn.shift is not None)
        return Answer("lent" if (await turn.approve("lend", "Lend?")).granted else "kept")

    async with serve(Team("desk", agents=[loans, cards], classifier=WORDS)) as served:
        asked = await served.reply(await served.send("a loan please"), "my card is gone")
        assert (await served.reply(asked, decision="approve")).text == "lent"
    assert seen == [True, True]


async def test_it_never_goes_back_by_itself_to_who_had_the_run() -> None:
    team, seen = desk(auto_handoff=True)
    async with serve(team) as served:
        asked = await served.send("a card to lend on")
        assert asked.agent == "loans"
        ended = await served.reply(asked, "my card is gone")
        assert ended.text == "lent"
    assert seen == ["loans: my card is gone, ('cards', True)"]


async def test_no_share_of_false_handoffs_no_look() -> None:
    team, seen = desk(auto_handoff=True)
    async with serve(team, false_handoffs=0.0) as served:
        ended = await served.reply(await served.send("a loan please"), "my card is gone")
        assert await steps_of(served, ended) == []
    assert seen == ["loans: my card is gone, None"]


async def test_a_recogniser_that_hangs_costs_no_turn(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ends = threading.Event()

    class Hanging(ScriptedClassifier):
        def classify(self, text: str, cards: Sequence[Card]) -> RouteDecision:
            assert "gone" not in text or ends.wait(20)
            return super().classify(text, cards)

    monkeypatch.setattr(recognition, "RECOGNISE_TIMEOUT_S", 0.02)
    team, seen = desk(auto_handoff=True)
    team.classifier = Hanging({"loan": "loans"})
    async with serve(team) as served:
        ended = await served.reply(await served.send("a loan please"), "my card is gone")
        ends.set()
        assert ended.text == "lent"
    assert seen == ["loans: my card is gone, None"]
    assert "goes unrecognised" in caplog.text


async def test_an_agent_that_is_not_chosen_by_the_router_is_told_of_a_shift_too() -> None:
    team, seen = desk(auto_handoff=False)
    team.agents["loans"].entry = False
    async with serve(team) as served:
        asked = await served.send("a loan please", to="loans")
        assert (await served.reply(asked, "my card is gone")).text == "lent"
    assert seen == ["loans: my card is gone, ('cards', True)"]


async def test_a_long_reply_after_a_long_question_is_recognised() -> None:
    reply = "my card is gone" + " x" * 50_000
    loans, cards = Agent("loans", "Loans and mortgages", examples=["I need a loan"]), Agent("cards", "Lost cards")
    seen: list[Shift | None] = []

    @loans.turn
    async def lend(turn: Turn) -> Answer | Ask:
        seen.append(turn.shift)
        return Ask("Why? " * 50_000) if turn.reply is None else Answer("lent")

    @cards.turn
    async def freeze(turn: Turn) -> Answer:
        return Answer("frozen")

    team = Team("desk", agents=[loans, cards], classifier=OfflineClassifier())
    async with serve(team) as served:
        ended = await served.reply(await served.send("I need a loan", to="loans"), reply)
        assert ended.text == "lent"
        assert await steps_of(served, ended) == ["baton.recognise"]
    assert len(seen) == 2


async def test_a_recogniser_that_raises_costs_no_turn(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(ScriptedClassifier):
        def classify(self, text: str, *more: object) -> object:  # type: ignore[override]
            if "gone" in text:
                raise RuntimeError("broken")
            return super().classify(text, *more)  # type: ignore[arg-type]

    team, seen = desk(auto_handoff=True)
    team.classifier = Broken({"loan": "loans"})
    async with serve(team) as served:
        ended = await served.reply(await served.send("a loan please"), "my card is gone")
        assert ended.text == "lent"
    assert seen == ["loans: my card is gone, None"]
    assert "goes unrecognised" in caplog.text


@pytest.mark.parametrize(("encoder", "method"), [("auto", "minilm"), ("none", "lexical")])
async def test_a_router_may_go_by_words_alone_though_the_model_is_installed(encoder: str, method: str) -> None:
    cards, loans = Agent("cards", "Bank cards, lost or stolen"), Agent("loans", "Loans, mortgages and their rates")
    for agent in (cards, loans):
        agent.turn(lambda turn: Answer("done"))
    async with serve(Team("desk", agents=[cards, loans]), encoder=encoder) as served:
        ended = await served.send("my bank card was stolen", to=None)
        routed = next(one for one in await served.journal.events(ended.run_id) if one.type == "routed")
    assert routed.data["method"] == method
    assert routed.data["best"] == "cards"
