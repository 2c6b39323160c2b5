"""What makes cards hard to route by: pure checks over cards.

In: cards and a classifier. Out: warnings, and how well examples are placed that were held out.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from baton.card import Card
from baton.cli.deciding import decide_all
from baton.cli.printing import counted
from baton.routing.decision import Classifier

EXAMPLES_MIN = 3
"""Fewer examples make a skill hard to recognise."""
FOLDS = 4
"""Examples are held out in so many turns; each costs one training."""
HELD_OUT_MAX = 1_000
"""Of more examples so many are drawn, and held out in one turn: thousands of skills take long to learn."""

Example: TypeAlias = tuple[str, str]
"""The name of an agent, and an example of its card."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How a classifier placed examples that it had not been trained on."""

    examples: int
    placed: int
    """Those on which it did not abstain."""
    right: int
    confused: tuple[str, str] | None
    """The two agents whose examples went to each other most often; None: no example went astray."""
    confused_count: int
    such_as: str | None
    """An example that went astray between them."""
    drawn_of: int = 0
    """How many examples could have been held out."""

    def __str__(self) -> str:
        if not self.examples:
            return "no example could be held out"
        told = f"held-out examples: {self.right:,} of {self.examples:,} right, {self.examples - self.placed:,} unsure"
        if self.drawn_of > self.examples:
            told += f" (drawn of {self.drawn_of:,})"
        if self.confused is None:
            return told
        a, b = self.confused
        return f"{told}; most confused: {a} and {b} ({self.confused_count}, such as {self.such_as!r})"


def warnings(cards: Sequence[Card]) -> list[str]:
    """Return what is wrong with cards, in the order of their names."""
    found: list[str] = []
    for card in sorted(cards, key=lambda one: one.name):
        if not card.skills and card.entry:
            found.append(f"{card.name} has no named skill; name what it does, with examples")
        for skill in card.skills if card.entry else ():
            if len(skill.examples) < EXAMPLES_MIN:
                found.append(
                    f"{card.name} / {skill.name} has {counted(len(skill.examples), 'example')}; "
                    f"{EXAMPLES_MIN} or more are needed"
                )
    return found + _shared_skills(cards) + _doubles(cards)


def held_out(cards: Sequence[Card], classifier: Classifier, advance: Callable[[], None] = lambda: None) -> HeldOut:
    """Classify examples with cards that lack them.

    Args:
        cards: The routable ones.
        classifier: Trained anew for each turn.
        advance: Called after each example; there are `held_out_count(cards)`.
    """
    placed = right = 0
    astray: Counter[tuple[str, str]] = Counter()
    such_as: dict[tuple[str, str], str] = {}
    turns = _turns(cards)
    for turn in turns:
        decisions = decide_all(classifier, [text for _, text in turn], _without(cards, turn), advance)
        for (agent, text), decision in zip(turn, decisions, strict=True):
            placed += decision.agent is not None
            right += decision.agent == agent
            if decision.best is not None and decision.best != agent:
                pair = (min(agent, decision.best), max(agent, decision.best))
                astray[pair] += 1
                such_as.setdefault(pair, text)
    asked, possible = sum(map(len, turns)), len(_examples(cards))
    if not astray:
        return HeldOut(asked, placed, right, None, 0, None, possible)
    pair, count = max(astray.items(), key=lambda item: (item[1], item[0]))
    return HeldOut(asked, placed, right, pair, count, such_as[pair], possible)


def held_out_count(cards: Sequence[Card]) -> int:
    """Return how many examples `held_out` classifies."""
    return min(len(_examples(cards)), HELD_OUT_MAX)


def _shared_skills(cards: Sequence[Card]) -> list[str]:
    owners: dict[str, set[str]] = defaultdict(set)
    for card in cards:
        for skill in card.skills if card.entry else ():
            owners[" ".join(skill.name.lower().split())].add(card.name)
    return [
        f"{' and '.join(sorted(names))} have a skill of the same name {name!r}"
        for name, names in sorted(owners.items())
        if len(names) > 1
    ]


def _doubles(cards: Sequence[Card]) -> list[str]:
    owners: dict[str, set[str]] = {}
    for card in cards:
        for text in [*card.examples, *(text for skill in card.skills for text in skill.examples)]:
            owners.setdefault(" ".join(text.lower().split()), set()).add(card.name)
    return [
        f"{' and '.join(sorted(names))} have the same example {text!r}"
        for text, names in sorted(owners.items())
        if len(names) > 1
    ]


def _turns(cards: Sequence[Card]) -> list[list[Example]]:
    """Return what is held out at a time."""
    examples = _examples(cards)
    if len(examples) > HELD_OUT_MAX:
        return [[example for _, example in random.Random(0).sample(examples, HELD_OUT_MAX)]]
    turns = ([example for place, example in examples if place % FOLDS == fold] for fold in range(FOLDS))
    return [turn for turn in turns if turn]


def _examples(cards: Sequence[Card]) -> list[tuple[int, Example]]:
    """Return every example that is not the only one of its skill, with its place there."""
    return [
        (place, (card.name, text))
        for card in cards
        for texts in (card.examples, *(skill.examples for skill in card.skills))
        if len(texts) > 1
        for place, text in enumerate(texts)
    ]


def _without(cards: Sequence[Card], held: Iterable[Example]) -> list[Card]:
    """Return cards without examples, in whichever of their agent's skills they are."""
    gone = frozenset(held)

    def kept(card: Card, texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(text for text in texts if (card.name, text) not in gone)

    return [
        card.model_copy(
            update={
                "examples": kept(card, card.examples),
                "skills": tuple(
                    skill.model_copy(update={"examples": kept(card, skill.examples)}) for skill in card.skills
                ),
            }
        )
        for card in cards
    ]
