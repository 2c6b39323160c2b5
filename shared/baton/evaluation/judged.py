"""One row and what became of it: all that the figures of routing are made from.

In: a row's owner and a classifier's decision. Out: a `Judged`, for `figures`, `curves` and `confusions`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from baton.routing.decision import RouteDecision


@dataclass(frozen=True, slots=True)
class Judged:
    """A decision beside the truth."""

    truth: str | None
    """The agent that should have it; None: out of scope, no agent handles it."""
    best: str | None
    """The likeliest agent, whether or not the classifier abstained."""
    confidence: float
    """Of the likeliest agent, 0 to 1."""
    is_answered: bool
    """False: the classifier abstained."""
    text: str = ""

    @classmethod
    def of(cls, decision: RouteDecision, truth: str | None, text: str = "") -> Self:
        """Return a decision beside the truth."""
        best = decision.best or decision.agent
        return cls(truth, best, decision.confidence, decision.agent is not None, text)

    @property
    def is_oos(self) -> bool:
        """Whether no agent handles it."""
        return self.truth is None

    @property
    def is_right(self) -> bool:
        """Whether the likeliest agent is the right one; never of what is out of scope."""
        return self.best is not None and self.best == self.truth


def at_threshold(judged: Sequence[Judged], threshold: float) -> list[Judged]:
    """Return the same decisions with another threshold: answered from this confidence on."""
    return [replace(one, is_answered=one.best is not None and one.confidence >= threshold) for one in judged]
