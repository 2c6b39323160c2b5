"""Whether a message in a running conversation is for another agent than the active one.

In: a classification of the message, and what was said before it. Out: a `Shift`, or None: the
conversation stays where it is; the router, `turn.shift` and `auto_handoff` go by it.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from baton.outcome import Shift
from baton.routing.decision import RouteDecision
from baton.routing.rules import MAX_CHARS

MAX_TARGETS = 2
FALSE_SHARE = 0.02
"""Share of the messages that should stay which may be handed off: the recogniser's one knob."""
HINT_FACTOR = 4.0
"""A shift is worth a hint to the active agent where so many times the false handoffs would be allowed."""
_PLAIN_MARGIN = 0.4
_CLIP = 8.0
_WORD = re.compile(r"\w+")
_CLOSING = re.compile(
    r"\b(anything else|something else|what else|further|booked|booking|reference|successful\w*|confirmed|done|reserved"
    r"|scheduled|purchased|transferred|enjoy|welcome|has been|have been)\b",
    re.IGNORECASE,
)
"""What an agent says when it has done its work: a change of topic is likelier after it. English."""
_QUESTION = ("?", "\uff1f", "\u061f")  # Latin, full-width, Arabic: what comes next is likelier an answer


@dataclass(frozen=True, slots=True)
class Heard:
    """A user's message in a conversation that an agent has."""

    text: str
    active: str
    """The agent that has the conversation."""
    said: str = ""
    """What an agent said last before the message; may be empty."""
    likeness: float = 0.0
    """How alike the message is to `said`, -1 to 1; an answer resembles its question."""


@dataclass(frozen=True, slots=True)
class Gate:
    """A logistic function of `features`, and where to cut it."""

    weights: tuple[float, ...]
    """As many as there are features."""
    bias: float
    cuts: tuple[tuple[float, float], ...]
    """Pairs of a share of messages that should stay, ascending, and the score that such a share exceeds."""

    def score(self, values: Sequence[float]) -> float:
        """Return how much speaks for a handoff; any number."""
        return self.bias + sum(weight * value for weight, value in zip(self.weights, values, strict=True))

    def cut(self, false_share: float) -> float:
        """Return the score above which about `false_share` (0 to 1) of the messages that should stay lie."""
        if false_share <= 0.0:
            return math.inf
        for (share, cut), (next_share, next_cut) in zip(self.cuts, self.cuts[1:], strict=False):
            if false_share <= share:
                return cut
            if false_share < next_share:
                along = (false_share - share) / (next_share - share)
                return cut + along * (next_cut - cut)
        return self.cuts[-1][1]


@cache
def gates() -> Mapping[str, Gate]:
    """Return the gates that ship with Baton, by the classifier's method.

    Source:
        Fitted by `python -m tests.evals.gate` on development dialogues of MultiWOZ 2.1 and SGD.
    """
    stored = json.loads(resources.files("baton.routing").joinpath("gate.json").read_text(encoding="utf-8"))
    return {
        method: Gate(tuple(one["weights"]), one["bias"], tuple((share, cut) for share, cut in one["cuts"]))
        for method, one in stored.items()
    }


def recognise(
    decision: RouteDecision, heard: Heard, *, false_share: float = FALSE_SHARE, gate: Gate | None = None
) -> Shift | None:
    """Compare the active agent with the others; in doubt the conversation stays.

    Args:
        decision: The message's classification, over the routable agents and the active one.
        heard: The message, and what was said before it.
        false_share: Of the messages that should stay, about this share is handed off, 0 to 1; 0: none is.
        gate: Decides; None: the one that ships with Baton for the decision's method.

    Returns:
        None: stay. A shift that is not confident is for the active agent to judge.

    Source:
        research/routing.md section 4: choosing the likeliest agent for each message hands off half of the
        follow-ups; docs/routing.md has what the gate gives.
    """
    others = sorted((name for name in decision.scores if name != heard.active), key=lambda n: (-decision.scores[n], n))
    gate = gate or gates().get(decision.method)
    if gate is None or not decision.nearest or not others:
        return _by_margin(decision, heard.active)
    score = gate.score(features(decision, heard, others[0]))
    if score <= gate.cut(false_share * HINT_FACTOR):
        return None
    targets = tuple((name, decision.scores[name]) for name in others[:MAX_TARGETS])
    return Shift(targets, confident=score > gate.cut(false_share))


def features(decision: RouteDecision, heard: Heard, other: str) -> tuple[float, ...]:
    """Return what the gate goes by; none of it depends on who the agents are.

    Args:
        decision: The message's classification.
        heard: The message, and what was said before it.
        other: The likeliest agent but the active one.
    """
    p_other = decision.scores[other]
    p_active = decision.scores.get(heard.active, max(0.0, 1.0 - sum(decision.scores.values())))
    lead = math.log(p_other + 1e-6) - math.log(p_active + 1e-6)
    return (
        max(-_CLIP, min(_CLIP, lead)),
        p_other,
        math.log(1 + len(_WORD.findall(heard.text[:MAX_CHARS]))),
        heard.likeness,
        decision.background,
        decision.nearest[other] - decision.background,
        1.0 if _CLOSING.search(heard.said[-MAX_CHARS:]) else 0.0,  # it is said at the end
        1.0 if heard.said.rstrip().endswith(_QUESTION) else 0.0,
    )


def _by_margin(decision: RouteDecision, active: str) -> Shift | None:
    """Judge what a rule or a classifier of the user's decided, which has no scores that a gate could read."""
    if decision.agent in (None, active):
        return None
    score = decision.scores.get(str(decision.agent), decision.confidence)
    own = decision.scores.get(active, 0.0)
    return Shift(((str(decision.agent), score),), confident=score - own >= _PLAIN_MARGIN)
