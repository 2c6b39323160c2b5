import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import baton
from baton.card import Card
from baton.outcome import Shift
from baton.routing.decision import RouteDecision
from baton.routing.lexical import LexicalClassifier
from baton.routing.recognise import ShiftPolicy, recognise

POLICY = ShiftPolicy(margin=0.4, hint_margin=0.2)


def decision(scores: dict[str, float], *, sure: bool = True) -> RouteDecision:
    best = max(scores, key=lambda name: scores[name])
    return RouteDecision(
        agent=best if sure else None,
        skill=None,
        confidence=0.5,
        runner_up=None,
        margin=0.0,
        method="lexical",
        threshold=0.3 if sure else 0.6,
        best=best,
        scores=scores,
    )


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ({"cash": 0.9, "cards": 0.05}, None),
        ({"cash": 0.45, "cards": 0.5}, None),
        ({"cash": 0.3, "cards": 0.5}, Shift((("cards", 0.5),), confident=False)),
        ({"cash": 0.1, "cards": 0.5}, Shift((("cards", 0.5),), confident=True)),
        (
            {"cash": 0.0, "cards": 0.3, "topups": 0.5, "account": 0.2},
            Shift((("topups", 0.5), ("cards", 0.3)), confident=True),
        ),
        ({"cash": 0.0, "b": 0.45, "a": 0.45}, Shift((("a", 0.45), ("b", 0.45)), confident=True)),
        ({"cash": 0.0, "cards": 0.3, "topups": 0.1}, Shift((("cards", 0.3),), confident=False)),
    ],
)
def test_the_lead_over_the_active_agent_decides(scores: dict[str, float], expected: Shift | None) -> None:
    assert recognise(decision(scores), "cash", policy=POLICY) == expected


def test_a_classifier_that_abstains_moves_nothing() -> None:
    assert recognise(decision({"cash": 0.0, "cards": 0.9}, sure=False), "cash", policy=POLICY) is None


def test_an_active_agent_that_was_not_classified_gets_what_is_left_over() -> None:
    assert recognise(decision({"cards": 0.45, "topups": 0.05}), "disputes", policy=POLICY) is None
    shift = recognise(decision({"cards": 0.8, "topups": 0.1}), "disputes", policy=POLICY)
    assert shift == Shift((("cards", 0.8),), confident=True)


def test_a_rule_without_scores_counts_by_its_confidence() -> None:
    sure = RouteDecision("cards", None, 1.0, None, 1.0, "rules", best="cards")
    unsure = replace(sure, confidence=0.5)
    assert recognise(sure, "cash") == Shift((("cards", 1.0),), confident=True)
    assert recognise(sure, "cards") is None
    assert recognise(unsure, "cash") is None


@pytest.mark.parametrize(("own", "confident"), [(0.35, None), (0.2, False), (0.05, True)])
def test_the_usual_policy_asks_for_a_clear_lead(own: float, confident: bool | None) -> None:
    shift = recognise(decision({"cash": own, "cards": 0.5}), "cash")
    assert (shift and shift.confident) == confident


def test_the_margin_is_the_knob() -> None:
    found = decision({"cash": 0.2, "cards": 0.5})
    margins = {m: recognise(found, "cash", policy=ShiftPolicy(margin=m)) for m in (0.25, 0.35)}
    assert {m: shift and shift.confident for m, shift in margins.items()} == {0.25: True, 0.35: False}


@pytest.mark.parametrize(
    "text", ["yes", "ok thanks", "Friday", "no", "the second one please", "at four o'clock", "that's all"]
)
def test_short_replies_stay(desk: tuple[Card, ...], text: str) -> None:
    for active in ("garden", "plumbing", "roofing"):
        assert recognise(CLASSIFIER.classify(text, desk), active) is None


@pytest.mark.parametrize(
    ("text", "active", "target"),
    [
        ("now my tap is leaking", "garden", "plumbing"),
        ("and the hedge has grown too high", "roofing", "garden"),
        ("a tile fell off the roof last night", "plumbing", "roofing"),
    ],
)
def test_a_new_request_shifts(desk: tuple[Card, ...], text: str, active: str, target: str) -> None:
    shift = recognise(CLASSIFIER.classify(text, desk), active)
    assert shift is not None
    assert shift.targets[0][0] == target
    assert shift.confident
    assert recognise(CLASSIFIER.classify(text, desk), target) is None


CLASSIFIER = LexicalClassifier()


def test_the_recogniser_needs_no_numpy() -> None:
    script = "import sys, baton.routing.recognise, baton.routing.card_set; print('numpy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(Path(baton.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"
