"""What a turn may return: anything else is told at once, with what was seen and what is allowed."""

from typing import Any

import pytest

from baton import Agent, Answer, Ask, Handoff
from baton.errors import FactsError, OutcomeError
from baton.protocol.settle import checked

LONE = "a\ud800b"


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (None, r"None \(is a `return` missing\?\)"),
        ("done", "str"),
        (7, "int"),
        ({"text": "done"}, "dict"),
        (Answer, "type"),
        (Exception("x"), "Exception"),
    ],
)
def test_what_is_no_outcome_is_refused_with_the_three_that_are(value: Any, seen: str) -> None:
    with pytest.raises(
        OutcomeError, match=rf"'cards' returned {seen}; a turn returns Answer\(…\), Handoff\(…\) or Ask"
    ):
        checked(value, "cards")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (Answer(""), "Answer.text is empty"),
        (Answer(" \n"), "Answer.text is empty"),
        (Answer(7), "Answer.text is int"),  # type: ignore[arg-type]
        (Answer(LONE), "Answer.text has a lone surrogate at 1"),
        (Answer("a\0"), r"Answer.text has U\+0000 at 1"),
        (Answer("x" * 1_048_577), "Answer.text has 1048577 bytes; at most 1048576"),
        (Answer("x", data=object()), "Answer.data is not JSON"),
        (Answer("x", data={"n": float("nan")}), "Answer.data is not JSON"),
        (Answer("x", data=LONE), "Answer.data is not JSON"),
        (Answer("x", data="y" * 1_048_575), "Answer.data has 1048577 bytes; at most 1048576"),
        (Ask(""), "Ask.question is empty"),
        (Ask("x" * 262_145), "Ask.question has 262145 bytes; at most 262144"),
        (Ask("q", options="yes"), "Ask.options is 'yes'; a list of texts"),
        (Ask("q", options=["yes", ""]), "Ask.options is empty"),
        (Ask("q", options=[LONE]), "Ask.options has a lone surrogate"),
        (Ask("q", deadline_s=0), "Ask.deadline_s is 0; a number of seconds above 0, or None"),
        (Ask("q", deadline_s=-1.5), "Ask.deadline_s is -1.5"),
        (Ask("q", deadline_s=float("nan")), "Ask.deadline_s is nan"),
        (Ask("q", deadline_s=float("inf")), "Ask.deadline_s is inf"),
        (Ask("q", deadline_s="5"), "Ask.deadline_s is '5'"),  # type: ignore[arg-type]
        (Ask("q", deadline_s=True), "Ask.deadline_s is True"),
        (Ask("q", on_timeout="deny"), 'Ask.on_timeout is \'deny\'; allowed are "fail" and "escalate"'),  # type: ignore[arg-type]
        (Handoff("b", reason=None), "Handoff.reason is NoneType"),  # type: ignore[arg-type]
        (Handoff("b", reason=" "), "Handoff.reason is empty"),
        (Handoff("b", reason=LONE), "Handoff.reason has a lone surrogate"),
        (Handoff("b", summary=7), "Handoff.summary is int"),  # type: ignore[arg-type]
        (Handoff("b", summary="x" * 1_048_577), "Handoff.summary has 1048577 bytes"),
    ],
)
def test_an_outcome_that_could_not_be_stored_is_refused(value: Any, told: str) -> None:
    with pytest.raises(OutcomeError, match=told):
        checked(value, "cards")


@pytest.mark.parametrize("facts", [5, "card", ["card"], {"": 1}, {1: 1}, {"n": float("nan")}, {"x": LONE}])
def test_facts_that_could_not_be_stored_are_refused(facts: Any) -> None:
    for value in (Handoff("b", facts=facts), Ask("q", facts=facts)):
        with pytest.raises(FactsError):
            checked(value, "cards")


@pytest.mark.parametrize(
    "value",
    [
        Answer("x" * 1_048_576),
        Answer("x", data="y" * 1_048_574, release=True),
        Ask("x" * 262_144),
        Ask("q", options=("yes", "no"), deadline_s=0.1, on_timeout="escalate"),
        Handoff("b"),
        Handoff(Agent("b", "Another"), reason="r", summary="s"),
    ],
)
def test_an_outcome_may_use_its_limits_and_is_unchanged(value: Any) -> None:
    assert checked(value, "cards") == value


def test_data_and_facts_become_plain_json() -> None:
    assert checked(Answer("x", data=(1, (2,))), "cards") == Answer("x", data=[1, [2]])
    assert checked(Handoff("b", facts={"pair": (1, 2)}), "cards") == Handoff("b", facts={"pair": [1, 2]})
    assert checked(Ask("q", facts={"gone": None}), "cards") == Ask("q", facts={"gone": None})
