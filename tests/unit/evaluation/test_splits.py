"""What is trained on: draws and cards made of rows."""

import re

from hypothesis import given
from hypothesis import strategies as st

from baton.card import Card, SkillCard
from baton.evaluation.rows import LabelledRow
from baton.evaluation.splits import agent_names, cards_of, draw, draw_examples, words


def pool(**counts: int) -> list[LabelledRow]:
    rows = [(intent, place) for intent, count in counts.items() for place in range(count)]
    return [LabelledRow(n, f"{intent} {place}", intent, None) for n, (intent, place) in enumerate(rows, 1)]


def test_so_many_rows_of_each_intent_are_drawn_and_none_twice() -> None:
    drawn = draw(pool(one=6, two=4), 3, seed=1)
    assert [row.intent for row in drawn.rows] == ["one"] * 3 + ["two"] * 3
    assert len({row.text for row in drawn.rows}) == 6
    assert drawn.scarce == ()


def test_a_draw_is_the_same_for_a_seed_whatever_the_order_of_intents() -> None:
    rows = pool(one=9, two=9)
    assert draw(rows, 3, seed=1) == draw([*rows[9:], *rows[:9]], 3, seed=1) != draw(rows, 3, seed=2)


def test_more_shots_than_rows_take_all_and_say_so() -> None:
    drawn = draw(pool(one=2, two=5), 4, seed=1)
    assert len(drawn.rows) == 6
    assert drawn.scarce == ("one",)
    assert draw(pool(one=4), 4, seed=1).scarce == ()


def test_out_of_scope_rows_are_not_drawn() -> None:
    assert [row.intent for row in draw(pool(one=2, oos=3), 2, seed=1).rows] == ["one", "one"]


def test_examples_of_cards_are_drawn_and_the_rest_stays() -> None:
    texts = tuple(map(str, range(20)))
    card = Card(name="a", description="d", examples=texts, skills=(SkillCard(name="s", examples=texts[:2]),))
    empty = Card(name="b", description="e")
    drawn, other = draw_examples([card, empty], 10, seed=1)
    assert len(set(drawn.examples)) == 10
    assert (drawn.description, set(drawn.skills[0].examples), other) == ("d", {"0", "1"}, empty)
    assert draw_examples([empty, card], 10, seed=1) == [drawn, other]


def test_rows_become_skills_of_their_agents() -> None:
    rows = [
        (LabelledRow(1, "x", "lost_card", "desk"), "desk"),
        (LabelledRow(2, "y", "lost_card", "desk"), "desk"),
        (LabelledRow(3, "z", None, "desk"), "desk"),
    ]
    (card,) = cards_of(rows, descriptions={"desk": "Cards"})
    assert card == Card(
        name="desk", description="Cards", skills=(SkillCard(name="lost card", examples=("x", "y")),), examples=("z",)
    )


def test_rows_are_added_to_cards() -> None:
    card = Card(name="desk", description="Cards", skills=(SkillCard(name="lost card", examples=("x",)),), version="7")
    (more,) = cards_of([(LabelledRow(1, "y", "lost_card", None), "desk")], cards=[card])
    assert more.skills == (SkillCard(name="lost card", examples=("x", "y")),)
    assert (more.description, more.version) == ("Cards", "7")


def test_labels_are_said_in_words() -> None:
    assert words("card_not-working?") == "card not working"
    assert words("退款") == "退款"
    assert words("???") == "???"


@given(labels=st.lists(st.text(min_size=1)))
def test_names_of_agents_are_allowed_and_never_the_same(labels: list[str]) -> None:
    names = agent_names([*labels, "router", "Human", "Lost card?", "lost card", "x" * 300, "x" * 301])
    assert len(set(names.values())) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9_-]{0,47}", name) for name in names.values())
    assert not {"router", "human"} & set(names.values())


def test_names_that_are_allowed_stay() -> None:
    assert agent_names(["lost_card", "Refund_not_showing_up"]) == {
        "lost_card": "lost_card",
        "Refund_not_showing_up": "refund_not_showing_up",
    }
