"""How good the lexical classifier is on the development data, where it is at hand."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from baton.card import Card, SkillCard
from baton.routing.lexical import LexicalClassifier
from baton.routing.recognise import recognise

EVALS = Path(__file__).resolve().parents[3] / ".." / "shared" / "evals"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (EVALS / "README.md").exists(), reason="the development data is not at hand"),
]


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (EVALS / name).read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[str]]:
    """Ten requests of each intent of Banking77."""
    by_intent: dict[str, list[str]] = {}
    for row in rows("banking77_pool.jsonl"):
        by_intent.setdefault(row["intent"], []).append(row["text"])
    return {intent: random.Random(1).sample(texts, 10) for intent, texts in by_intent.items()}


def test_an_agent_per_intent_of_banking77(drawn: dict[str, list[str]]) -> None:
    cards = [Card(name=i.lower(), description="", examples=tuple(texts)) for i, texts in drawn.items()]
    classifier, dev = LexicalClassifier(), rows("banking77_dev.jsonl")
    right = [classifier.classify(row["text"], cards).best == row["intent"].lower() for row in dev]
    assert sum(right) / len(right) > 0.74


def test_the_departments_of_a_bank(drawn: dict[str, list[str]]) -> None:
    desks = json.loads((EVALS / "banking77_departments.json").read_text(encoding="utf-8"))
    cards = [
        Card(
            name=agent,
            description=description,
            skills=tuple(
                SkillCard(name=i.replace("_", " "), examples=tuple(drawn[i]))
                for i, owner in desks["intents"].items()
                if owner == agent
            ),
        )
        for agent, description in desks["agents"].items()
    ]
    classifier, dev = LexicalClassifier(), rows("banking77_dev.jsonl")
    found = [(classifier.classify(row["text"], cards).agent, desks["intents"][row["intent"]]) for row in dev]
    answered = [pair for pair in found if pair[0] is not None]
    assert len(answered) / len(found) > 0.9
    assert sum(agent == owner for agent, owner in answered) / len(answered) > 0.9
    foreign = [row["text"] for row in rows("clinc150_val.jsonl") if row["intent"] == "oos"]
    rejected = [classifier.classify(text, cards).agent is None for text in foreign]
    assert sum(rejected) / len(rejected) > 0.88


def follow_ups() -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each scored turn with the agent that has the conversation before it."""
    for dialogue in rows("handoff_multiwoz_dev.jsonl"):
        active = None
        for turn in dialogue["turns"]:
            if active and turn["gold"] in {"stay", "switch"}:
                yield turn, active
            active = turn.get("agent", active)


def test_follow_ups_stay_and_new_requests_shift() -> None:
    cards = [
        Card(name=row["agent"], description=row["description"], examples=tuple(row["examples"][:10]))
        for row in rows("handoff_multiwoz_cards.jsonl")
    ]
    classifier = LexicalClassifier()
    moved: dict[str, list[bool]] = {"stay": [], "switch": []}
    for turn, active in follow_ups():
        shift = recognise(classifier.classify(turn["user"], cards), active)
        moved[turn["gold"]].append(bool(shift and shift.confident))
    assert sum(moved["stay"]) / len(moved["stay"]) < 0.03
    assert sum(moved["switch"]) / len(moved["switch"]) > 0.6
