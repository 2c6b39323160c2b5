import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import baton
from baton.card import Card
from baton.outcome import Shift
from baton.routing.decision import RouteDecision
from baton.routing.minilm import encoder
from baton.routing.offline import OfflineClassifier
from baton.routing.recognise import Gate, Heard, features, gates, recognise
from baton.routing.rules import MAX_CHARS

GATE = Gate((1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0), 0.0, ((0.01, 3.0), (0.02, 2.0), (0.08, 1.0)))
"""Goes by the lead alone: ln(p of the best other) - ln(p of the active agent)."""
HEARD = Heard("what about my top-up?", "cash")


def decision(scores: dict[str, float], **more: Any) -> RouteDecision:
    best = max(scores, key=lambda name: scores[name])
    nearest = dict.fromkeys(scores, 0.5)
    given: dict[str, Any] = {"best": best, "scores": scores, "nearest": nearest, **more}
    return RouteDecision(best, None, 0.5, None, 0.0, "lexical", 0.3, **given)


def led(lead: float) -> RouteDecision:
    return decision({"cash": 0.1, "cards": 0.1 * math.exp(lead)})


@pytest.mark.parametrize(("lead", "confident"), [(-1.0, None), (0.9, None), (1.1, False), (1.9, False), (2.1, True)])
def test_the_gate_is_cut_twice_for_a_hint_and_for_a_move(lead: float, confident: bool | None) -> None:
    shift = recognise(led(lead), HEARD, gate=GATE)
    assert (shift and shift.confident) == confident


def test_the_share_of_false_handoffs_is_the_knob() -> None:
    found = {
        share: recognise(led(2.1), HEARD, false_share=share, gate=GATE) for share in (0.0, 0.01, 0.015, 0.02, 0.08)
    }
    sure = {share: bool(shift and shift.confident) for share, shift in found.items()}
    assert sure == {0.0: False, 0.01: False, 0.015: False, 0.02: True, 0.08: True}


@given(share=st.floats(0.001, 0.4), more=st.floats(0.001, 0.4))
def test_a_greater_share_never_moves_less(share: float, more: float) -> None:
    for gate in (GATE, *gates().values()):
        assert gate.cut(max(share, more)) <= gate.cut(min(share, more))


def test_up_to_two_targets_are_told_the_best_first() -> None:
    shift = recognise(decision({"cash": 0.01, "b": 0.3, "a": 0.3, "c": 0.39}), HEARD, gate=GATE)
    assert shift == Shift((("c", 0.39), ("a", 0.3)), confident=True)


def test_an_active_agent_that_was_not_classified_gets_what_is_left_over() -> None:
    heard = Heard("and now?", "disputes")
    assert recognise(decision({"cards": 0.45, "topups": 0.05}), heard, gate=GATE) is None
    assert recognise(decision({"cards": 0.9, "topups": 0.05}), heard, gate=GATE) is not None


def test_alone_an_agent_keeps_every_message() -> None:
    assert recognise(decision({"cash": 0.4}), HEARD, gate=GATE) is None


def test_what_was_said_before_counts() -> None:
    found = led(0.5)
    plain = features(found, HEARD, "cards")
    after = features(found, replace(HEARD, said="Your card is booked. Anything else?", likeness=0.7), "cards")
    assert [n for n, (one, other) in enumerate(zip(plain, after, strict=True)) if one != other] == [3, 6, 7]


def test_of_long_texts_a_part_is_read() -> None:
    found, end = led(0.5), "Anything else?"
    long = replace(HEARD, text="and " * 20_000, said="x " * 500_000)
    part = replace(long, text=long.text[:MAX_CHARS], said=long.said + end)
    assert features(found, long, "cards")[2] == features(found, part, "cards")[2]
    saids = (end + long.said, long.said + end)
    assert [features(found, replace(long, said=said), "cards")[6] for said in saids] == [0.0, 1.0]


def test_a_classifier_without_scores_that_a_gate_can_read_goes_by_its_lead() -> None:
    sure = RouteDecision("cards", None, 1.0, None, 1.0, "rule", best="cards")
    assert recognise(sure, HEARD) == Shift((("cards", 1.0),), confident=True)
    assert recognise(sure, replace(HEARD, active="cards")) is None
    unsure = recognise(replace(sure, confidence=0.3), HEARD)
    assert unsure is not None
    assert not unsure.confident
    assert recognise(replace(sure, agent=None), HEARD) is None


@pytest.mark.parametrize("method", ["lexical", "minilm"])
@pytest.mark.parametrize(
    "text", ["yes", "ok thanks", "Friday", "no", "the second one please", "at four o'clock", "that's all"]
)
def test_short_replies_stay(desk: tuple[Card, ...], text: str, method: str) -> None:
    for active in ("garden", "plumbing", "roofing"):
        shift = recognise(CLASSIFIERS[method].classify(text, desk), Heard(text, active, "When does it suit you?"))
        assert shift is None or not shift.confident


@pytest.mark.parametrize("method", ["lexical", "minilm"])
@pytest.mark.parametrize(
    ("text", "active", "target"),
    [
        ("now my tap is leaking", "garden", "plumbing"),
        ("and the hedge has grown too high", "roofing", "garden"),
        ("a tile fell off the roof last night", "plumbing", "roofing"),
    ],
)
def test_a_new_request_shifts(desk: tuple[Card, ...], text: str, active: str, target: str, method: str) -> None:
    found = CLASSIFIERS[method].classify(text, desk)
    shift = recognise(found, Heard(text, active))
    assert shift is not None
    assert shift.targets[0][0] == target
    assert shift.confident
    assert recognise(found, Heard(text, target)) is None


CLASSIFIERS = {"lexical": OfflineClassifier(), "minilm": OfflineClassifier(encoder())}


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
