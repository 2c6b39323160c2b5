"""Stored decisions, compared: with what people say, and with what is decided today.

In: decisions from the journal. Out: rows for `baton eval routing`; counts of what a replay changes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from baton.agent import HUMAN
from baton.journal.views import NOBODY, DecisionView
from baton.protocol import route
from baton.routing.llm import LLM
from baton.routing.rules import RULE

OUT_OF_SCOPE = "oos"
"""Agent and intent of requests for nobody, in files of `baton eval routing`."""


def chosen(decision: DecisionView) -> str | None:
    """Return the agent that the classifier chose, `nobody` where it was not sure, None where it was not asked."""
    routed = decision.routed
    if routed["how"] in (route.ADDRESSED, route.STICKY) or "scores" not in routed:
        return None
    return NOBODY if routed["how"] == route.FALLBACK else str(routed["agent"])


def meant(decision: DecisionView) -> str | None:
    """Return the agent that a person says it was for, None where nobody says.

    `nobody` stands for `human`, too: to find that no card fits is right where a person should have it.
    """
    return NOBODY if decision.label == HUMAN else decision.label


def surely_chosen(decision: DecisionView) -> str | None:
    """Return the agent that was chosen for what the request says alone, None where there is none.

    Where the agent that fits had no live replica, or a conversation moved on, another was chosen for other reasons.
    """
    routed = decision.routed
    is_sure = routed["how"] == route.CLASSIFIED and routed.get("best") in (None, routed["agent"])
    return str(routed["agent"]) if is_sure else None


def row(decision: DecisionView) -> dict[str, Any] | None:
    """Return a request with its agent as `baton eval routing` reads it; None where nobody surely knows the agent."""
    label = meant(decision)
    agent = label or surely_chosen(decision)
    if agent is None:
        return None
    skill = decision.routed.get("skill") if agent == decision.routed.get("agent") else None
    if agent == NOBODY:
        agent, skill = OUT_OF_SCOPE, None
    return {
        "text": decision.text,
        "agent": agent,
        "intent": skill or agent,
        "run_id": decision.run_id,
        "labelled": label is not None,
    }


@dataclass(slots=True)
class Change:
    """Requests that would go from one agent to another."""

    was: str
    now: str
    run_id: str
    """Of the oldest of them."""
    text: str
    count: int = 0


@dataclass(slots=True)
class Replayed:
    """What came of deciding again."""

    seen: int = 0
    """Requests looked at."""
    redecided: int = 0
    """Those that a classifier had placed, or left to the fallback."""
    labelled: int = 0
    """Those of them that a person has labelled."""
    right_then: int = 0
    right_now: int = 0
    changes: dict[tuple[str, str], Change] = field(default_factory=dict)

    @property
    def changed(self) -> int:
        """Requests that would go elsewhere."""
        return sum(change.count for change in self.changes.values())

    def add(self, decision: DecisionView, decide: Callable[[str], str]) -> None:
        """Count one decision.

        Args:
            decision: As it was stored.
            decide: Returns today's agent for a text, or `nobody`; only asked where a classifier was.
        """
        self.seen += 1
        was, label = chosen(decision), meant(decision)
        if was is None or decision.routed["method"] in (RULE, LLM):
            return
        self.redecided += 1
        now = decide(decision.text)
        if label is not None:
            self.labelled += 1
            self.right_then += label == was
            self.right_now += label == now
        if now != was:
            new = Change(was, now, decision.run_id, decision.text)
            self.changes.setdefault((was, now), new).count += 1

    def by_count(self) -> Sequence[Change]:
        """Return the changes, the most frequent first."""
        return sorted(self.changes.values(), key=lambda change: (-change.count, change.was, change.now))

    def as_json(self) -> dict[str, Any]:
        """Return the counts; of labelled requests those that were, and are, decided as the label says."""
        return {
            "requests": self.seen,
            "redecided": self.redecided,
            "changed": self.changed,
            "labelled": {"n": self.labelled, "right_then": self.right_then, "right_now": self.right_now},
            "changes": [
                {
                    "from": change.was,
                    "to": change.now,
                    "n": change.count,
                    "example": {"run_id": change.run_id, "text": change.text},
                }
                for change in self.by_count()
            ],
        }
