"""The figures of recognition, as evals/README.md defines them, against a case reckoned by hand."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.evaluation.dialogues import DialogueTurn
from baton.evaluation.handoffs import Moved, Slip, handoff_figures, slips


def turn(gold: str, agent: str = "b", *also: str) -> DialogueTurn:
    return DialogueTurn("d", f"{gold} {agent}", gold, "a", "a" if gold == "stay" else agent, also)


CASE = [
    Moved(turn("switch"), "b"),
    Moved(turn("switch"), "b"),
    Moved(turn("switch", "b", "c"), "c"),
    Moved(turn("switch"), "c"),
    Moved(turn("switch"), None),
    Moved(turn("stay"), None),
    Moved(turn("stay"), None),
    Moved(turn("stay"), None),
    Moved(turn("stay"), "b"),
    Moved(turn("mixed", "a", "b"), "b"),
    Moved(turn("mixed", "a", "b"), None),
    Moved(turn("late"), "b"),
]
"""Five switch turns: four handed off, three rightly. Four stay turns: one handed off."""

MOVED = st.lists(
    st.builds(
        Moved,
        turn=st.builds(turn, st.sampled_from(["stay", "switch", "mixed", "late", "none"]), st.sampled_from("bc")),
        to=st.none() | st.sampled_from("bc"),
    )
)


def test_the_figures_are_those_of_the_readme() -> None:
    assert handoff_figures(CASE) == {
        "n": 9,
        "recall": 0.8,
        "precision": 0.8,
        "target": 0.75,
        "correct": 0.6,
        "f1": 0.6,  # precision 3 / 5 and recall 3 / 5 of handoffs to the right agent
        "turnacc": round(6 / 9, 6),
        "false": 25.0,
        "n_stay": 4,
        "n_switch": 5,
        "mixed": {"n": 2, "handed_off": 0.5, "target": 1.0},
    }


def test_where_there_is_nothing_nothing_is_said() -> None:
    found = handoff_figures([])
    assert found["n"] == 0
    assert {found[name] for name in ("recall", "precision", "target", "correct", "f1", "turnacc", "false")} == {None}


def test_a_handoff_to_the_active_agent_is_never_right() -> None:
    assert handoff_figures([Moved(turn("switch", "b", "a"), "a")])["correct"] == 0.0


def test_slips_are_told_by_the_agents_between_which_they_happen() -> None:
    assert slips([*CASE, Moved(turn("stay"), "b")]) == [
        Slip("a", "b", "a", 2, "stay b"),
        Slip("a", None, "b", 1, "switch b"),
        Slip("a", "c", "b", 1, "switch b"),
    ]


@given(moved=MOVED, seed=st.integers())
def test_the_order_of_turns_changes_nothing(moved: list[Moved], seed: int) -> None:
    assert handoff_figures(random.Random(seed).sample(moved, len(moved))) == handoff_figures(moved)


@given(moved=MOVED)
def test_shares_are_bounded_and_agree(moved: list[Moved]) -> None:
    found = handoff_figures(moved)
    shares = {name: found[name] for name in ("recall", "precision", "target", "correct", "f1", "turnacc")}
    assert all(value is None or 0.0 <= value <= 1.0 for value in shares.values())
    if found["target"] is not None:
        assert found["correct"] == pytest.approx(found["recall"] * found["target"], abs=1e-5)
    n_wrong = sum(slip.count for slip in slips(moved))
    if found["n"]:
        assert found["turnacc"] == pytest.approx(1 - n_wrong / found["n"], abs=1e-5)


@given(golds=st.lists(st.sampled_from(["stay", "switch"]), min_size=1))
def test_a_perfect_recogniser_gets_one_everywhere(golds: list[str]) -> None:
    found = handoff_figures([Moved(turn(gold), "b" if gold == "switch" else None) for gold in golds])
    assert {found[name] for name in ("recall", "precision", "target", "correct", "f1", "turnacc")} <= {1.0, None}
    assert found["false"] in (0.0, None)
