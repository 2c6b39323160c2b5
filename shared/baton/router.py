"""The router's turn: classify a request, once, onto the agent best placed to take it.

In: hop 0 of a run, or a hop of an agent that asked for a new choice. Out: a `Routed` with its scores.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel

from baton.envelope import Envelope, last_said
from baton.errors import TurnTimeoutError
from baton.hop.judge import Judge
from baton.hop.leases import Held
from baton.hop.recognition import was_moved
from baton.hop.surroundings import Surroundings
from baton.hop.taking import Taken
from baton.journal.records import Claim
from baton.protocol import route
from baton.protocol.guards import Graph

if TYPE_CHECKING:
    from baton.routing.offline import OfflineClassifier

CLASSIFY_TIMEOUT_S = 60.0
"""Seconds that one classification may take; the first one learns the cards."""


class RouterTaker:
    """Takes the router's turns.

    Args:
        judge: Places what nobody is named for.
        shared: Has the registered cards.
        sticky_s: Seconds for which a conversation stays with its agent.
        needs: What agents need of the facts, as far as this process knows them.
    """

    max_attempts = 6

    def __init__(
        self, judge: Judge, shared: Surroundings, *, sticky_s: float, needs: Mapping[str, type[BaseModel]]
    ) -> None:
        self.needs = needs
        self._judge = judge
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
            without=frozenset() if is_first else _left_out(claim, envelope),
        )
        graph = self._shared.graph()
        found = await self._choose(envelope, asked, graph)
        if found.how == route.FALLBACK:
            await held.insist(self._shared.refresh)  # whom it is for may have been deployed a moment ago
            if not self._shared.graph().has_team_of(graph):
                found = await self._choose(envelope, asked, self._shared.graph())
        return Taken(found)

    async def _choose(self, envelope: Envelope, asked: route.RouteInput, graph: Graph) -> route.Routed:
        found = route.addressed(asked, graph)
        if found is not None:
            return found
        try:
            async with asyncio.timeout(CLASSIFY_TIMEOUT_S):
                return await self._classified(envelope, asked, graph)
        except TimeoutError as error:
            raise TurnTimeoutError(f"the classifier took longer than {CLASSIFY_TIMEOUT_S:g} s") from error

    async def _classified(self, envelope: Envelope, asked: route.RouteInput, graph: Graph) -> route.Routed:
        text = last_said(envelope, "user") or envelope.request_text
        if asked.active in graph.cards:
            return await self._followed_up(text, envelope, asked, graph)
        decision = await self._judge.decide(text, graph, facts=envelope.facts, without=asked.without, asks_llm=True)
        chosen = route.choose(asked, graph, decision, None)
        if not route.is_idle(chosen, graph):
            return chosen
        without = asked.without | {name for name in graph.cards if not graph.is_live(name)}
        return route.instead(chosen, await self._judge.decide(text, graph, facts=envelope.facts, without=without))

    async def _followed_up(self, text: str, envelope: Envelope, asked: route.RouteInput, graph: Graph) -> route.Routed:
        """Judge a message in a conversation, which mostly stays where it is: no language model is asked."""
        active, said = str(asked.active), last_said(envelope, "agent")
        decision = await self._judge.decide(text, graph, active=active)
        shift = await self._judge.shift(decision, text, active=active, said=said)
        return route.choose(asked, graph, decision, shift)


def _left_out(claim: Claim, envelope: Envelope) -> frozenset[str]:
    """Return who is not to be chosen: who asked for somebody else; after an automatic handoff all who had the run."""
    sender = {envelope.from_agent} if envelope.from_agent else set()
    is_automatic = was_moved(claim.steps, envelope.seq - 1)
    return frozenset(sender | {entry.agent for entry in envelope.trail} if is_automatic else sender)


def default_classifier(*, is_lexical: bool = False, foreign: Sequence[str] = ()) -> "OfflineClassifier":
    """Return the classifier that ships with Baton; imports numpy and, where it is installed, the model.

    Args:
        is_lexical: True: by words alone, whatever is installed.
        foreign: Requests that no agent handles, beside those that ship with Baton.
    """
    from baton.routing.minilm import encoder
    from baton.routing.offline import OfflineClassifier

    return OfflineClassifier(None if is_lexical else encoder(), foreign=foreign)
