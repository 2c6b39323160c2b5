"""The router's decision: to whom a request goes, once.

In: the request, the conversation and the cards; a classification where one is needed. Out: a
`Routed`, of which `protocol.settle` makes the next hop.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from baton.card import Card
from baton.envelope import Envelope
from baton.outcome import Handoff, Shift
from baton.protocol.guards import ROUTER, Graph, refused
from baton.routing.decision import RouteDecision

STICKY = "sticky"
ADDRESSED = "addressed"
CLASSIFIED = "classified"
SHIFTED = "shifted"
FALLBACK = "fallback"

FITS = 0.75
"""Share of the confidence in an agent without a live replica from which another one fits as well."""


@dataclass(frozen=True, slots=True)
class RouteInput:
    """What the router has to decide on."""

    to: str | None
    """The agent that the request names; None: no one."""
    active: str | None
    """The conversation's active agent if it is still sticky; else None."""
    without: frozenset[str] = frozenset()
    """Agents that are not to be chosen: one that asked for somebody else, or all that had the run."""


@dataclass(frozen=True, slots=True)
class Routed:
    """Where a request goes, and why."""

    agent: str | None
    """None: nobody, and there is no fallback."""
    how: str
    """`addressed`, `sticky`, `classified`, `shifted` or `fallback`."""
    reason: str
    skill: str | None = None
    shift: tuple[tuple[str, float], ...] = ()
    decision: RouteDecision | None = None

    def stored(self) -> dict[str, Any]:
        """Return the decision as the journal keeps it, scores and all."""
        seen = self.decision
        found = {"agent": self.agent, "how": self.how, "reason": self.reason, "skill": self.skill}
        if seen is None:
            return {**found, "confidence": 1.0, "method": self.how}
        return {
            **found,
            "confidence": round(seen.confidence, 4),
            "method": seen.method,
            "model": seen.model,
            "threshold": round(seen.threshold, 4),
            "best": seen.best,
            "runner_up": seen.runner_up,
            "margin": round(seen.margin, 4),
            "scores": {name: round(score, 4) for name, score in seen.scores.items()},
            "shift": list(self.shift),
            "note": seen.note,
        }


def active_now(active: str | None, active_at: float | None, *, now: float, sticky_s: float) -> str | None:
    """Return the conversation's active agent while it is sticky."""
    return active if active and active_at is not None and now - active_at <= sticky_s else None


def routable(cards: Mapping[str, Card], active: str | None = None) -> list[Card]:
    """Return the cards that the classifier chooses from, in the order of their names; that of `active` among them."""
    return [cards[name] for name in sorted(cards) if cards[name].entry or name == active]


def addressed(ask: RouteInput, graph: Graph) -> Routed | None:
    """Return where an addressed request goes; None for one that names nobody."""
    if ask.to is None:
        return None
    if graph.is_reachable(ask.to):
        return Routed(ask.to, ADDRESSED, f"the request names {ask.to}")
    known = ", ".join(sorted(graph.cards))
    return _fallback(graph, f"the request names {ask.to!r}, which is not registered; registered are {known}")


def choose(ask: RouteInput, graph: Graph, decision: RouteDecision, shift: Shift | None) -> Routed:
    """Return where a request goes that names nobody.

    Args:
        ask: What is asked, and who is active.
        graph: Who exists.
        decision: The classifier's, over all routable agents.
        shift: The recogniser's finding against the active agent; None: none, or nobody is active.
    """
    if ask.active and ask.active in graph.cards:
        target = shift.targets[0][0] if shift and shift.confident else ask.active
        if target != ask.active and graph.is_live(target):
            skill = decision.skill if decision.best == target else None
            return Routed(target, SHIFTED, f"no longer about {ask.active}", skill, decision=decision)
        skill = decision.skill if decision.best == ask.active else None
        idle = "" if graph.is_live(ask.active) else "; it has no live replica now, and takes it up once it has"
        told = shift.targets if shift else ()
        return Routed(ask.active, STICKY, f"{ask.active} has this conversation{idle}", skill, told, decision)
    if decision.agent is None:
        return _fallback(graph, _unsure(decision), decision)
    return Routed(decision.agent, CLASSIFIED, _sure(decision), decision.skill, decision=decision)


def is_idle(routed: Routed, graph: Graph) -> bool:
    """Return True where a classified request is for an agent that no live replica serves, or unsure because of one."""
    if routed.how == CLASSIFIED:
        return not graph.is_live(str(routed.agent))
    seen = routed.decision if routed.how == FALLBACK else None
    return seen is not None and any(name and not graph.is_live(name) for name in (seen.best, seen.runner_up))


def instead(routed: Routed, decision: RouteDecision) -> Routed:
    """Return where a request goes whose agent has no live replica: to another that fits, else where it would have gone.

    Args:
        routed: The choice among all agents.
        decision: The same request over the agents that have a live replica.
    """
    first = routed.decision
    seen = replace(decision, best=first.best) if first else decision  # who fits best is so, live or not
    if routed.how == FALLBACK:
        told = f"{_sure(decision)}, of the agents with a live replica"
        return Routed(decision.agent, CLASSIFIED, told, decision.skill, decision=seen) if decision.agent else routed
    if decision.agent is None or decision.confidence < FITS * (first.confidence if first else 0.0):
        idle = f"{routed.agent} has no live replica and nobody else fits: it takes this up once it has one"
        return replace(routed, reason=f"{routed.reason}; {idle}")
    told = f"{_sure(decision)}; {routed.agent} fits better and has no live replica"
    return Routed(decision.agent, routed.how, told, decision.skill, routed.shift, seen)


def onward(envelope: Envelope, shift: Shift, graph: Graph, decision: RouteDecision) -> Handoff | None:
    """Return the automatic handoff that a confident shift in a reply leads to; None: the agent's turn runs.

    Control never goes back by itself to an agent that has had this run: to and fro is what a person, or a
    new request, may want, and not what a likeness should cause. Nor does it go where the run would stand
    still or end: past the last hop, to an agent without a live replica. Where no edge is declared it goes
    through the router, if that is going to be sure.

    Args:
        envelope: Of the hop in which the reply came.
        shift: What the recogniser found.
        graph: Who exists, and who may hand off to whom.
        decision: The classification that the shift comes from.
    """
    target, score = shift.targets[0]
    had_it = {entry.agent for entry in envelope.trail}
    if not shift.confident or target in had_it or not graph.is_live(target):
        return None
    is_declared = refused(graph, envelope.agent, target) is None
    if envelope.budget.hops_left < (1 if is_declared else 2) or not (is_declared or decision.agent == target):
        return None
    return Handoff(target if is_declared else ROUTER, reason=f"the user's reply is about {target} ({score:.0%})")


def _fallback(graph: Graph, reason: str, decision: RouteDecision | None = None) -> Routed:
    target = graph.fallback if graph.is_reachable(graph.fallback) else None
    return Routed(target, FALLBACK, reason, decision=decision)


def _sure(decision: RouteDecision) -> str:
    if decision.threshold == 0 and decision.note:  # a rule's or a language model's word, which has no probability
        return decision.note
    return f"{decision.skill or decision.agent} ({decision.confidence:.0%})"


def _unsure(decision: RouteDecision) -> str:
    if decision.note and (decision.best is None or decision.confidence >= decision.threshold):
        return decision.note
    if decision.best is None:
        return "no agent takes requests"
    scores = ", ".join(f"{name} {score:.0%}" for name, score in _top(decision.scores))
    return f"not sure enough: {decision.confidence:.0%}, needed {decision.threshold:.0%}; best: {scores}"


def _top(scores: Mapping[str, float], count: int = 3) -> Sequence[tuple[str, float]]:
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:count]
