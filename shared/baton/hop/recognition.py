"""Recognition in an agent's hop: once per reply of the user, and recorded like a step.

In: the envelope of a hop of kind `reply`. Out: a `Shift`, or None: the reply is for this agent.
"""

import asyncio
import logging
from typing import Any

from baton.envelope import Envelope, last_said
from baton.hop.judge import Judge
from baton.hop.steps import Steps
from baton.outcome import Shift
from baton.protocol.guards import Graph

logger = logging.getLogger("baton")

STEP = "baton.recognise"
"""The step's key, as `baton show` and the trace tell it."""
RECOGNISE_TIMEOUT_S = 10.0
"""Seconds that one look may take, before the turn goes on without it; cards may still have to be learnt."""


async def recognised(envelope: Envelope, graph: Graph, judge: Judge, steps: Steps) -> Shift | None:
    """Tell whether the user's reply is about something else; a replay tells the same.

    A message that a request brought was judged by the router; one that an agent handed over is judged
    by nobody: that agent has just said whose it is.

    Args:
        envelope: Of the hop.
        graph: Who exists now.
        judge: Knows their areas.
        steps: Of this attempt.
    """
    if envelope.kind != "reply" or not envelope.reply or judge.false_share <= 0.0:
        return None
    if not any(card.entry and name != envelope.agent for name, card in graph.cards.items()):
        return None
    text = envelope.reply

    async def look(_: str) -> dict[str, Any]:
        try:
            async with asyncio.timeout(RECOGNISE_TIMEOUT_S):
                decision = await judge.decide(text, graph)
                said = last_said(envelope, "agent")
                shift = await judge.shift(decision, text, active=envelope.agent, said=said)
        except Exception:  # the turn is worth more than the look before it
            logger.exception("a reply to %s goes unrecognised", envelope.agent)
            return {}
        return {"targets": shift.targets, "confident": shift.confident} if shift else {}

    found = await steps.call(STEP, look, (text,), "idempotent", "hop")
    if not found:
        return None
    return Shift(tuple((name, score) for name, score in found["targets"]), confident=found["confident"])
