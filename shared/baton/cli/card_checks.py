"""What makes cards hard to route by: pure checks over cards.

In: cards and a classifier. Out: warnings, and how well examples are placed that were held out.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from baton.card import Card
from baton.routing.decision import Classifier

EXAMPLES_MIN = 3
"""Fewer examples make a skill hard to recognise."""
FOLDS = 4
"""Examples are held out in so many turns; each costs one training."""


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

    def __str__(self) -> str:
        if not self.examples:
            return "no example could be held out"
        told = f"held-out examples: {self.right} of {self.examples} right, {self.examples - self.placed} unsure"
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
                    f"{card.name} / {skill.name} has {len(skill.examples)} examples; {EXAMPLES_MIN} or more are needed"
                )
    return found + _doubles(cards)


def held_out(cards: Sequence[Card], classifier: Classifier) -> HeldOut:
    """Classify every example with cards that lack it, a part of the examples at a time."""
    asked = placed = right = 0
    astray: Counter[tuple[str, str]] = Counter()
    such_as: dict[tuple[str, str], str] = {}
    for fold in range(FOLDS):
        kept = [_without(card, fold) for card in cards]
        for card in cards:
            for text in _examples(card, fold):
                decision = classifier.classify(text, kept)
                asked += 1
                placed += decision.agent is not None
                right += decision.agent == card.name
                if decision.best is not None and decision.best != card.name:
                    pair = (min(card.name, decision.best), max(card.name, decision.best))
                    astray[pair] += 1
                    such_as.setdefault(pair, text)
    if not astray:
        return HeldOut(asked, placed, right, None, 0, None)
    pair, count = max(astray.items(), key=lambda item: (item[1], item[0]))
    return HeldOut(asked, placed, right, pair, count, such_as[pair])


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


def _without(card: Card, fold: int) -> Card:
    """Return a card without every example of one fold; a skill's last example stays."""
    skills = tuple(skill.model_copy(update={"examples": _rest(skill.examples, fold)}) for skill in card.skills)
    return card.model_copy(update={"skills": skills, "examples": _rest(card.examples, fold)})


def _rest(examples: Sequence[str], fold: int) -> tuple[str, ...]:
    if len(examples) < 2:
        return tuple(examples)
    return tuple(text for place, text in enumerate(examples) if place % FOLDS != fold)


def _examples(card: Card, fold: int) -> list[str]:
    lists = [card.examples, *(skill.examples for skill in card.skills)]
    return [texts[place] for texts in lists if len(texts) > 1 for place in range(fold, len(texts), FOLDS)]
