"""What keeps control from bouncing, running away or going where it may not.

In: the envelope, the outcome and the graph. Out: None, or a `Stopped` that names what was seen and
what is allowed. `protocol.settle` sends what is stopped to the fallback, or fails the run.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from baton import codec
from baton.card import Card
from baton.envelope import Envelope, Guard, TrailEntry
from baton.routing.stored_threshold import StoredThreshold

ROUTER = "router"
HUMAN = "human"


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why a handoff does not happen."""

    code: str
    """`handoff_refused`, `hop_limit`, `no_progress` or `budget`."""
    message: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Graph:
    """The union of the registered cards: who exists, and who may hand off to whom."""

    cards: Mapping[str, Card]
    fallback: str | None = None
    live: frozenset[str] | None = None
    """Registered agents that a live replica serves; None: not known, since no process beats: all of them count."""
    threshold: StoredThreshold | None = None
    """From labelled traffic; None: the cards' own counts."""

    def is_live(self, agent: str) -> bool:
        """Return True where somebody takes up at once what goes to `agent`; a person counts as always there."""
        return agent == HUMAN or self.live is None or agent in self.live

    def has_team_of(self, other: "Graph") -> bool:
        """Return True where `other` has the same cards, fallback and threshold, whoever is live."""
        return (self.cards, self.fallback, self.threshold) == (other.cards, other.fallback, other.threshold)

    def allowed(self, sender: str) -> list[str]:
        """Return the agents that `sender` may hand off to, `human` and `router` apart."""
        if sender in (ROUTER, HUMAN):
            return sorted(self.cards)
        card = self.cards.get(sender)
        return sorted(card.targets) if card else []

    def is_reachable(self, target: str | None) -> bool:
        """True where a hop to `target` would find somebody."""
        return target == HUMAN or target in self.cards


def may_publish(graph: Graph, sender: str, target: str) -> bool:
    """Return True where the broker lets `sender` publish to `target`: as far as it may hand off, and to the router.

    A hop that it makes pending for another, since it ended the run that had their conversation, is
    left to that agent's poll.
    """
    card = graph.cards.get(sender)
    return sender == ROUTER or target in (ROUTER, graph.fallback) or (card is not None and target in card.targets)


def refused(graph: Graph, sender: str, target: str) -> Stopped | None:
    """Stop a handoff to the sender itself, to a stranger, or along an edge nobody declared.

    A person at the desk may be given any run, and every agent may ask the router.
    """
    allowed = graph.allowed(sender)
    told = f"{sender!r} may hand off to {', '.join(allowed) or 'nobody'}, {HUMAN} and {ROUTER}"
    if target == sender:
        seen = f"{sender!r} handed off to itself"
    elif target in (HUMAN, ROUTER):
        return None
    elif target not in allowed:
        unknown = "" if target in graph.cards else ", and no such agent is registered"
        seen = f"{sender!r} handed off to {target!r}, which is not declared{unknown}"
    elif target not in graph.cards:
        seen = f"{sender!r} handed off to {target!r}, which is declared but not registered"
    else:
        return None
    return Stopped("handoff_refused", f"{seen}; {told}", {"target": target, "allowed": allowed})


def over_hop_limit(envelope: Envelope, target: str) -> Stopped | None:
    """Stop a run that has used its hops; hops to a person do not count."""
    if envelope.budget.hops_left > 0 or target == HUMAN:
        return None
    limit = envelope.budget.max_hops
    return Stopped(
        "hop_limit",
        f"{envelope.agent!r} wanted to hand off to {target!r} after {limit} hops; at most {limit} are allowed "
        f"(`max_hops`). Path: {path(envelope.trail, envelope.agent, target)}",
        {"max_hops": limit},
    )


def no_progress(envelope: Envelope, target: str, progress: int) -> Stopped | None:
    """Stop the same edge when nothing new came up since its last use in this run.

    New is a message from a person, a fact value not yet seen in this run, or a step whose name or
    input is new; each raises the progress mark.

    Args:
        envelope: Of the hop that hands off.
        target: Where to.
        progress: The mark after this hop.
    """
    edge = (envelope.agent, target)
    last = next((entry for entry in reversed(envelope.trail) if (entry.agent, entry.to) == edge), None)
    if last is None or last.progress != progress:
        return None
    loop = path([entry for entry in envelope.trail if entry.seq >= last.seq], envelope.agent, target)
    return Stopped(
        "no_progress",
        f"{envelope.agent!r} handed off to {target!r} again, and since the last time there was no new "
        f"message, fact or step: {loop}",
        {"loop": loop},
    )


def over_budget(envelope: Envelope) -> Stopped | None:
    """Stop a run that has used its tokens or its money."""
    budget = envelope.budget
    for name, left in (("tokens", budget.tokens_left), ("cost", budget.cost_left)):
        if left is not None and left <= 0:
            return Stopped("budget", f"the run has used its {name} budget ({left} left)", {"budget": name})
    return None


def advance(guard: Guard, facts: Mapping[str, Any] | None, *, is_new: bool) -> Guard:
    """Return the guard after a hop: its mark one higher for each fact value never seen.

    And once more where the hop recorded a step, or got a message, that is new (`is_new`).
    """
    marks = [codec.fingerprint([key, value])[:16] for key, value in sorted((facts or {}).items())]
    unseen = [mark for mark in marks if mark not in guard.seen]
    return Guard(progress=guard.progress + len(unseen) + is_new, seen=(*guard.seen, *unseen))


def path(trail: Iterable[TrailEntry], agent: str, target: str) -> str:
    """Return the way control took, as `a → b → a`."""
    return " → ".join([*(entry.agent for entry in trail), agent, target])
