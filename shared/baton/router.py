"""The router's turn: classify a request, once, onto the agent best placed to take it.

In: hop 0 of a run, or a hop of an agent that asked for a new choice. Out: a `Routed` with its scores.
"""

import asyncio
from collections.abc import Mapping

from pydantic import BaseModel

from baton.envelope import Envelope
from baton.errors import TurnTimeoutError
from baton.hop.leases import Held
from baton.hop.surroundings import Surroundings
from baton.hop.taking import Taken
from baton.hop.threads import in_thread
from baton.journal.records import Claim
from baton.protocol import route
from baton.protocol.guards import Graph
from baton.routing.decision import Classifier
from baton.routing.recognise import recognise

CLASSIFY_TIMEOUT_S = 60.0
"""Seconds that one classification may take; the first one learns the cards."""


class RouterTaker:
    """Takes the router's turns.

    Args:
        classifier: Places what nobody is named for.
        shared: Has the registered cards.
        sticky_s: Seconds for which a conversation stays with its agent.
        needs: What agents need of the facts, as far as this process knows them.
    """

    max_attempts = 6

    def __init__(
        self,
        classifier: Classifier,
        shared: Surroundings,
        *,
        sticky_s: float,
        needs: Mapping[str, type[BaseModel]],
    ) -> None:
        self.needs = needs
        self._classifier = classifier
        self._shared = shared
        self._sticky_s = sticky_s

    async def take(self, claim: Claim, envelope: Envelope, held: Held) -> Taken:
        """Decide where the request goes.

        Raises:
            TurnTimeoutError: The classifier did not come to an end.
        """
        run = claim.run
        is_first = envelope.seq == 0
        active = route.active_now(run.active_agent, run.active_at, now=claim.now, sticky_s=self._sticky_s)
        asked = route.RouteInput(
            to=run.request.get("to") if is_first else None,
            active=active if is_first else None,
            without=None if is_first else envelope.from_agent,
        )
        graph = self._shared.graph()
        found = await self._choose(envelope, asked, graph)
        if found.how == route.FALLBACK:
            await held.insist(self._shared.refresh)  # whom it is for may have been deployed a moment ago
            if self._shared.graph() != graph:
                found = await self._choose(envelope, asked, self._shared.graph())
        return Taken(found)

    async def _choose(self, envelope: Envelope, asked: route.RouteInput, graph: Graph) -> route.Routed:
        found = route.addressed(asked, graph)
        if found is not None:
            return found
        try:
            async with asyncio.timeout(CLASSIFY_TIMEOUT_S):
                return await in_thread(self.decide, _latest(envelope), asked, graph)
        except TimeoutError as error:
            raise TurnTimeoutError(f"the classifier took longer than {CLASSIFY_TIMEOUT_S:g} s") from error

    def decide(self, text: str, asked: route.RouteInput, graph: Graph) -> route.Routed:
        """Classify `text` and return where it goes."""
        decision = self._classifier.classify(text, route.routable(graph.cards, asked.without))
        shift = recognise(decision, asked.active) if asked.active else None
        return route.choose(asked, graph, decision, shift)


def _latest(envelope: Envelope) -> str:
    """Return what the user said last: the request, or a later reply."""
    said = [message.text for message in envelope.messages if message.role == "user"]
    return said[-1] if said else envelope.request_text


def default_classifier() -> Classifier:
    """Return the classifier that ships with Baton; imports numpy."""
    from baton.routing.lexical import LexicalClassifier

    return LexicalClassifier()
