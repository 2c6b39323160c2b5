"""In a conversation about a dispute, what belongs to it stays, although the router never chooses `disputes`."""

import pytest

from baton.hop.judge import Judge
from baton.outcome import Shift
from baton.protocol.guards import Graph
from baton.router import default_classifier
from services.team import desk

DESK = Graph({card.name: card for card in desk.cards()}, desk.fallback)


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(default_classifier, false_share=0.02)


async def shift(judge: Judge, text: str) -> Shift | None:
    decision = await judge.decide(text, DESK, active="disputes")
    return await judge.shift(decision, text, active="disputes", said="Your case is open. Which payment is it?")


@pytest.mark.parametrize(
    "text",
    [
        "there is also a second payment of 40 pounds that I did not make",
        "yes, that one",
        "what happens next with my case?",
        "the merchant is called Skyline",
        "I have the receipt",
    ],
)
async def test_what_belongs_to_a_dispute_stays(judge: Judge, text: str) -> None:
    found = await shift(judge, text)
    assert found is None or not found.confident


@pytest.mark.parametrize(
    ("text", "agent"),
    [("what is the exchange rate for dollars today?", "exchange"), ("my top-up failed on saturday", "topups")],
)
async def test_what_is_about_something_else_moves(judge: Judge, text: str, agent: str) -> None:
    found = await shift(judge, text)
    assert found is not None
    assert (found.targets[0][0], found.confident) == (agent, True)
