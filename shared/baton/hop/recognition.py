"""Recognition in an agent's hop: once per reply of the user, and recorded like a step.

In: the envelope of a hop that a reply has come to. Out: a `Recognised`, empty where the reply is for this agent.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from baton import codec
from baton.envelope import Envelope, last_said
from baton.hop.judge import Judge
from baton.hop.steps import Steps
from baton.journal.records import Step
from baton.outcome import Handoff, Shift
from baton.protocol.guards import Graph
from baton.routing.decision import RouteDecision

logger = logging.getLogger("baton")

STEP = "baton.recognise"
"""The step's key, as `baton show` and the trace tell it."""
RECOGNISE_TIMEOUT_S = 10.0
"""Seconds that one look may take, before the turn goes on without it; cards may still have to be learnt."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """What was found in a reply."""

    shift: Shift | None = None
    """That it is about something else; None: it is for this agent."""
    handoff: Handoff | None = None
    """Where it goes without the agent's turn; None: the turn runs."""


async def recognised(
    envelope: Envelope,
    graph: Graph,
    judge: Judge,
    steps: Steps,
    onward: Callable[[Shift, RouteDecision], Handoff | None],
) -> Recognised:
    """Tell whether the user's reply is about something else; a replay tells the same.

    A message that a request brought was judged by the router; one that an agent handed over is judged
    by nobody: that agent has just said whose it is.

    Args:
        envelope: Of the hop.
        graph: Who exists now.
        judge: Knows their areas.
        steps: Of this attempt.
        onward: Where a shift leads to by itself; recorded with it, since settings and agents may be others at a replay.
    """
    if not envelope.reply or not _is_looked_at(envelope, graph, judge, steps.recorded_keys()):
        return Recognised()
    text = envelope.reply

    async def look(_: str) -> dict[str, Any]:
        try:
            async with asyncio.timeout(RECOGNISE_TIMEOUT_S):
                decision = await judge.decide(text, graph, active=envelope.agent)
                said = last_said(envelope, "agent")
                shift = await judge.shift(decision, text, active=envelope.agent, said=said)
        except Exception:  # the turn is worth more than the look before it
            logger.exception("a reply to %s goes unrecognised", envelope.agent)
            return {}
        if shift is None:
            return {}
        handoff = onward(shift, decision)
        moved = {"to": str(handoff.to), "reason": handoff.reason} if handoff else None
        return {"targets": shift.targets, "confident": shift.confident, "handoff": moved}

    found = await steps.call(STEP, look, (text,), "idempotent", "hop")
    if not found:
        return Recognised()
    moved = found.get("handoff")
    shift = Shift(tuple((name, score) for name, score in found["targets"]), confident=found["confident"])
    return Recognised(shift, Handoff(moved["to"], reason=moved["reason"]) if moved else None)


def was_moved(steps: Sequence[Step], seq: int) -> bool:
    """Return True where the hop `seq` was handed off without its agent's turn."""
    looks = [step.result for step in steps if step.key == STEP and step.seq == seq]
    return any(look is not None and codec.decode(look).get("handoff") for look in looks)


def _is_looked_at(envelope: Envelope, graph: Graph, judge: Judge, recorded: frozenset[str]) -> bool:
    """Return True where a look was recorded, or is due at the first attempt that records anything."""
    if recorded:
        return STEP in recorded
    return judge.false_share > 0.0 and any(card.entry and name != envelope.agent for name, card in graph.cards.items())
