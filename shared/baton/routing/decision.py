"""What a classifier gives: a choice, how sure it is, and why.

In: a request's text and the cards. Out: a `RouteDecision`, stored with the run; `protocol.route`
makes a hop of it.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

from baton.card import Card
from baton.errors import PermanentError


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


def possible(decision: object, names: Collection[str]) -> RouteDecision:
    """Return a classifier's decision as it is, or for nobody where it cannot be meant.

    Args:
        decision: What the classifier returned.
        names: The agents that were to choose from.

    Raises:
        PermanentError: It is no decision at all.
    """
    if not isinstance(decision, RouteDecision):
        raise PermanentError(f"the classifier returned {type(decision).__name__}; a RouteDecision is needed")
    shares = (decision.confidence, decision.threshold, *decision.scores.values())
    odd = [share for share in shares if not 0.0 <= share <= 1.0]
    if odd or not math.isfinite(decision.margin):
        told = f"the classifier returned {(odd or [decision.margin])[0]!r} for a number from 0 to 1"
        return RouteDecision(None, None, 0.0, None, 0.0, decision.method, note=told)
    if decision.agent is None or decision.agent in names:
        return decision
    scores = {name: score for name, score in decision.scores.items() if name in names}
    best = decision.best if decision.best in names else None
    note = f"the classifier chose {decision.agent!r}, which is not to choose from"
    return replace(decision, agent=None, skill=None, best=best, scores=scores, note=note)


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
