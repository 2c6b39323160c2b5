"""What a classifier gives: a choice, how sure it is, and why.

In: a request's text and the cards. Out: a `RouteDecision`, stored with the run; `protocol.route`
makes a hop of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

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
    """Who decided: `minilm`, `lexical`, `rule`, `llm`, …"""
    threshold: float = 0.0
    """The confidence below which the classifier abstains."""
    best: str | None = None
    """The best agent even where the classifier abstains; None without any card."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Probability per agent."""
    nearest: Mapping[str, float] = field(default_factory=dict)
    """Cosine with the most similar text of each agent, 0 to 1; empty where the method knows none."""
    background: float = 0.0
    """Cosine with the most similar request that nobody handles, 0 to 1."""
    model: str | None = None
    """What decided: encoder, revision and the hash of the cards; None where there is no model."""
    note: str = ""
    """What else was seen: the rule that held, or what the LLM answered; may be empty."""
    best_skill: str | None = None
    """The skill of `best` that is likeliest, even where the classifier abstains."""


class Classifier(Protocol):
    """Chooses an agent for a text, or abstains."""

    def classify(self, text: str, cards: Sequence[Card]) -> RouteDecision:
        """Decide which of `cards` is best placed to take `text`.

        Args:
            text: The request, 1 character to 256 KiB.
            cards: The routable agents (`entry=True`); may be empty.
        """
        ...


@runtime_checkable
class Trainable(Classifier, Protocol):
    """A classifier that learns cards first, and can be asked over less than it learnt."""

    def is_ready(self, cards: Sequence[Card]) -> bool:
        """Return True where a decision over `cards` needs no training first."""
        ...

    def prepare(self, cards: Sequence[Card]) -> object:
        """Learn `cards`, at least one; takes seconds, and may run beside decisions over other cards."""
        ...

    def classify_many(
        self, texts: Sequence[str], cards: Sequence[Card], *, without: frozenset[str] = frozenset()
    ) -> list[RouteDecision]:
        """Decide on several texts.

        Args:
            texts: Requests.
            cards: Those learnt.
            without: Names among them that are not to be chosen.
        """
        ...

    def likeness(self, text: str, other: str) -> float:
        """Return how alike two texts are, -1 to 1."""
        ...
