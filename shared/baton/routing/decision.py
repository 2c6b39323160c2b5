"""What a classifier gives: a choice, how sure it is, and why.

In: a request's text and the cards. Out: a `RouteDecision`, stored with the run; `protocol.route`
makes a hop of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from baton.card import Card


@dataclass(frozen=True, slots=True)
class RouteDecision:
    """One classification of one text over one set of cards."""

    agent: str | None
    """The chosen agent, or None: the classifier abstains."""
    skill: str | None
    """The chosen skill's name, or None where the agent has no named skills or none was chosen."""
    confidence: float
    """0 to 1; comparable with `threshold`."""
    runner_up: str | None
    """The second-best agent, or None where there is one agent only."""
    margin: float
    """Probability of the best agent less that of the runner-up, 0 to 1."""
    method: str
    """Who decided: `lexical`, `rules`, …"""
    threshold: float = 0.0
    """The confidence below which the classifier abstains."""
    best: str | None = None
    """The best agent even where the classifier abstains; None without any card."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Probability per agent."""


class Classifier(Protocol):
    """Chooses an agent for a text, or abstains."""

    def classify(self, text: str, cards: Sequence[Card]) -> RouteDecision:
        """Decide which of `cards` is best placed to take `text`.

        Args:
            text: The request, 1 character to 256 KiB.
            cards: The routable agents (`entry=True`); may be empty.
        """
        ...
