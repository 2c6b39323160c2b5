"""What is said of cards that are hard to route by."""

from collections.abc import Sequence

from baton.card import Card, SkillCard
from baton.cli import card_checks
from baton.cli.card_checks import HeldOut
from baton.routing.decision import RouteDecision


class Remembering:
    """Places a text with the agent that has an equal one, else with `default`; remembers what it was asked."""

    def __init__(self, default: str) -> None:
        self.default = default
        self.seen: list[tuple[str, list[Card]]] = []

    def classify(self, text: str, cards: Sequence[Card]) -> RouteDecision:
        self.seen.append((text, list(cards)))
        owners = [c.name for c in cards if text in (*c.examples, *(t for s in c.skills for t in s.examples))]
        best = owners[0] if owners else self.default
        return RouteDecision(best, None, 1.0, None, 1.0, "test", best=best)


def card(name: str, *skills: tuple[str, tuple[str, ...]], entry: bool = True, examples: tuple[str, ...] = ()) -> Card:
    made = tuple(SkillCard(name=skill, examples=texts) for skill, texts in skills)
    return Card(name=name, description="", skills=made, entry=entry, examples=examples)


THREE = ("x", "y", "z")


def test_skills_with_few_examples_are_named() -> None:
    cards = [card("b", ("full", THREE), ("none", ()), ("one", ("q",))), card("a")]
    assert card_checks.warnings(cards) == [
        "a has no named skill; name what it does, with examples",
        "b / none has 0 examples; 3 or more are needed",
        "b / one has 1 example; 3 or more are needed",
    ]


def test_agents_that_are_not_chosen_by_the_router_need_no_examples() -> None:
    assert card_checks.warnings([card("a", ("pay", ()), entry=False), card("b", ("pay", THREE))]) == []


def test_a_skill_of_two_agents_is_named() -> None:
    cards = [card("a", ("Pay  bills", THREE)), card("b", ("pay bills", ("p", "q", "r")))]
    assert card_checks.warnings(cards) == ["a and b have a skill of the same name 'pay bills'"]


def test_examples_are_classified_by_cards_that_lack_them() -> None:
    cards = [card("a", ("s", tuple("abcde"))), card("b", examples=("v", "w"))]
    classifier, advanced = Remembering("b"), []
    found = card_checks.held_out(cards, classifier, lambda: advanced.append(1))
    assert found == HeldOut(7, 7, 2, ("a", "b"), 5, "a", 7)
    assert sorted(text for text, _ in classifier.seen) == sorted("abcdevw")
    for text, kept in classifier.seen:
        assert text not in {t for c in kept for t in (*c.examples, *(t for s in c.skills for t in s.examples))}
    assert len(advanced) == card_checks.held_out_count(cards) == 7
    assert str(found) == "held-out examples: 2 of 7 right, 0 unsure; most confused: a and b (5, such as 'a')"


def test_a_held_out_example_is_gone_from_every_skill_of_its_agent() -> None:
    cards = [card("a", ("s", ("same", "x")), ("t", ("y", "same"))), card("b", ("u", ("p", "q")))]
    assert card_checks.held_out(cards, Remembering("b")).right == 2  # those of b


def test_an_example_of_two_agents_shows_them_confused() -> None:
    cards = [card("a", ("s", ("same", "x"))), card("b", ("u", ("p", "same")))]
    found = card_checks.held_out(cards, Remembering("a"))
    assert (found.confused, found.such_as) == (("a", "b"), "same")


def test_the_only_example_of_a_skill_stays() -> None:
    found = card_checks.held_out([card("a", ("s", ("only",)))], Remembering("a"))
    assert found == HeldOut(0, 0, 0, None, 0, None, 0)
    assert str(found) == "no example could be held out"


def test_of_many_examples_some_are_held_out_in_one_turn() -> None:
    skills = tuple((f"skill {place}", tuple(f"{place} {letter}" for letter in "abc")) for place in range(500))
    cards = [card("a", *skills[:250]), card("b", *skills[250:])]
    classifier = Remembering("a")
    found = card_checks.held_out(cards, classifier)
    assert (found.examples, found.drawn_of) == (card_checks.HELD_OUT_MAX, 1_500)
    assert "(drawn of 1,500)" in str(found)
    assert len({id(kept[0]) for _, kept in classifier.seen}) == 1  # one set of cards, so one training
