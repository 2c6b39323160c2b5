"""Agents and classifiers that do as they are told, for tests of everything around them.

In: a script. Out: an `Agent` that plays it, one outcome a turn; a `Classifier` that knows its lines.
"""

from collections.abc import Mapping, Sequence

from baton.agent import Agent
from baton.card import Card
from baton.hop.turn import Turn
from baton.outcome import Outcome
from baton.routing.decision import RouteDecision


def scripted_agent(name: str, *script: Outcome | Exception, entry: bool = True) -> Agent:
    """Return an agent that returns (or raises) the script's items in turn, the last one for ever."""
    agent = Agent(name, f"Plays a script as {name}", entry=entry)
    left = list(script)

    @agent.turn
    async def play(turn: Turn) -> Outcome:
        item = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(item, Exception):
            raise item
        return item

    return agent


class ScriptedClassifier:
    """Sends a text to the agent of the first phrase that it contains, and abstains on others.

    Args:
        phrases: Agent (or `agent/skill`) by phrase.
        default: The agent for texts without any phrase; None: abstain.
    """

    def __init__(self, phrases: Mapping[str, str] | None = None, *, default: str | None = None) -> None:
        self._phrases = dict(phrases or {})
        self._default = default

    def classify(self, text: str, cards: Sequence[Card]) -> RouteDecision:
        """See `Classifier.classify`."""
        target = next((to for phrase, to in self._phrases.items() if phrase in text), self._default)
        agent, _, skill = (target or "").partition("/")
        known = {card.name for card in cards}
        chosen = agent if agent in known else None
        return RouteDecision(
            agent=chosen,
            skill=skill or None,
            confidence=1.0 if chosen else 0.0,
            runner_up=None,
            margin=1.0 if chosen else 0.0,
            method="scripted",
            threshold=0.5,
            best=chosen,
            scores={name: float(name == chosen) for name in sorted(known)},
        )
