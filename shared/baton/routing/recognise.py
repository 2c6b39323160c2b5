"""Whether a message in a running conversation is for another agent than the active one.

In: a classification of the message, over the cards of all routable agents. Out: a `Shift`, or None: the
conversation stays where it is; the router and `turn.shift` go by it.
"""

from dataclasses import dataclass

from baton.outcome import Shift
from baton.routing.decision import RouteDecision

MAX_TARGETS = 2


@dataclass(frozen=True, slots=True)
class ShiftPolicy:
    """How far another agent must lead the active one, in probability."""

    margin: float = 0.4
    """0 to 1; from this lead on the shift is confident. The knob: the more, the fewer false handoffs."""
    hint_margin: float = 0.2
    """0 to `margin`; from this lead on the active agent is told, and decides itself."""


DEFAULT_POLICY = ShiftPolicy()
"""Chosen on MultiWOZ and SGD development dialogues: with 10 examples an agent, 1 to 2 false handoffs in 100
follow-ups and 7 of 10 true ones found; with 40, 3 to 4 and 9 of 10."""


def recognise(decision: RouteDecision, active: str, *, policy: ShiftPolicy = DEFAULT_POLICY) -> Shift | None:
    """Compare the active agent with the others; in doubt the conversation stays.

    Args:
        decision: The message's classification. One that abstains moves nothing: "yes" and "Friday"
            resemble nobody's examples.
        active: The agent that has the conversation. One that was not among the cards gets the
            probability that `decision.scores` leave over.
        policy: The leads that count.

    Returns:
        None: stay. A shift that is not confident is for the active agent to judge.

    Source:
        research/routing.md section 4: choosing the likeliest agent for each turn hands off half of the
        follow-ups; a margin for the active agent cures most of it.
    """
    if decision.agent is None:
        return None
    scores = decision.scores or {decision.agent: decision.confidence}  # rules have no scores
    own = scores.get(active, max(0.0, 1.0 - sum(scores.values())))
    leads = {agent: score - own for agent, score in scores.items() if agent != active}
    ahead = sorted((a for a in leads if leads[a] >= policy.hint_margin), key=lambda a: (-leads[a], a))
    if decision.agent not in ahead:
        return None
    targets = tuple((agent, scores[agent]) for agent in ahead[:MAX_TARGETS])
    return Shift(targets, confident=leads[decision.agent] >= policy.margin)
