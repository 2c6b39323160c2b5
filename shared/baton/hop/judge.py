"""Whose a message is, and whether its conversation has moved on: one judge for all the workers of a process.

In: texts, and the registered cards as they change. Out: a `RouteDecision` for the router, a `Shift` for
router and agents. New cards are learnt beside the work; until then those known before decide, unless an agent is new.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from baton.card import Card
from baton.errors import TransientError
from baton.hop.threads import in_thread
from baton.outcome import Shift
from baton.protocol import route
from baton.protocol.guards import Graph
from baton.routing import rules
from baton.routing.decision import Classifier, RouteDecision, Trainable, possible
from baton.routing.llm import LLMClassifier
from baton.routing.recognise import Heard, recognise
from baton.routing.stored_threshold import StoredThreshold, applied

logger = logging.getLogger("baton")

LEARN_AGAIN_S = 30.0
"""Seconds for which cards that could not be learnt are not tried again, unless they change."""
ANSWER_TIMEOUT_S = 50.0
"""Seconds that one call of the classifier may take; the router gives up after 60."""
TOGETHER = 32
"""Most texts that are classified in one call: those that wait while the last call is under way."""


class _Asked(NamedTuple):
    text: str
    cards: tuple[Card, ...]
    without: frozenset[str]
    answer: asyncio.Future[RouteDecision]


class _Failed(NamedTuple):
    cards: tuple[Card, ...]
    until: float
    """When they may be tried again, in seconds of the loop's clock."""
    why: Exception


class Judge:
    """Classifies and recognises for one process.

    Args:
        make: Makes the classifier when it is first needed; may take a second.
        llm: Decides where the classifier is unsure; None: nobody does.
        false_share: Of the messages that should stay with their agent, about this share is moved, 0 to 1;
            0: none is looked at.
    """

    def __init__(self, make: Callable[[], Classifier], llm: LLMClassifier | None = None, *, false_share: float) -> None:
        self.false_share = false_share
        self._llm = llm
        self._make = make
        self._making = asyncio.Lock()
        self._classifier: Classifier | None = None
        self._seen: dict[str | None, tuple[Mapping[str, Card], tuple[Card, ...]]] = {}
        self._known: tuple[Card, ...] | None = None
        self._failed: _Failed | None = None
        self._learning: asyncio.Task[None] | None = None
        self._warming: asyncio.Task[None] | None = None
        self._asked: list[_Asked] = []
        self._unfit: tuple[StoredThreshold | None, str | None] = (None, None)
        self._answering: asyncio.Task[None] | None = None

    async def learn(self, graph: Graph, active: str | None = None) -> None:
        """Make the classifier and learn the cards, so that the next decision waits for nothing.

        Args:
            graph: Who exists now.
            active: Whose conversations are to be judged; None: those that the router has.
        """
        classifier = await self._made()
        if isinstance(classifier, Trainable) and (cards := self._routable(graph, active)):
            await self._usable(classifier, cards, waits=True)

    def learn_soon(self, graph: Graph, active: str) -> None:
        """Do what `learn` does, beside the work; it is tried again when it is needed."""
        if self.false_share > 0.0 and self._known is None and (self._warming is None or self._warming.done()):
            self._warming = asyncio.create_task(self._warm(graph, active))

    async def _warm(self, graph: Graph, active: str) -> None:
        with contextlib.suppress(TransientError):  # `_learn` has told why
            await self.learn(graph, active)

    def notice(self, graph: Graph) -> None:
        """Begin to learn the cards if they have changed; nothing if nobody has asked for a decision yet."""
        if isinstance(self._classifier, Trainable) and (cards := self._routable(graph)):
            self._is_known(self._classifier, cards)

    async def decide(
        self,
        text: str,
        graph: Graph,
        *,
        facts: Mapping[str, Any] | None = None,
        without: frozenset[str] = frozenset(),
        active: str | None = None,
        asks_llm: bool = False,
    ) -> RouteDecision:
        """Choose among the routable agents: by rules, else by the classifier, else by the language model.

        Args:
            text: The request.
            graph: Who exists now.
            facts: Of the conversation; rules may go by them. None for a message in a conversation that an agent has:
                they were the same at the last one, and are no reason to move.
            without: Agents that are not to be chosen.
            active: Who has the conversation; may be chosen though the router never does (`entry=False`).
            asks_llm: Whether the language model, if there is one, is asked where the classifier is unsure.

        Returns:
            A decision for an agent of `graph`. It waits for an agent whose card is still being learnt; where
            only cards of known agents have changed, a sure one is made with what they were before.
        """
        cards = self._routable(graph, active)
        ruled = rules.match(text, facts or {}, cards, without)
        if ruled is not None:
            return ruled
        stored = graph.threshold if all(card.entry for card in cards) else None  # it is of the entries alone
        decision = possible(
            await self._classified(text, cards, without, stored), {card.name for card in cards} - without
        )
        if self._llm is None or not asks_llm or not self._llm.is_unsure(decision):
            return decision
        return await in_thread(self._llm.decide, text, decision, cards=cards, without=without)

    async def _classified(
        self, text: str, cards: tuple[Card, ...], without: frozenset[str], stored: StoredThreshold | None
    ) -> RouteDecision:
        classifier = await self._made()
        if not isinstance(classifier, Trainable):
            left = [one for one in cards if one.name not in without]
            found = await in_thread(classifier.classify, text, left)
            return self._applied(possible(found, {one.name for one in left}), stored)
        if not cards:
            return RouteDecision(None, None, 0.0, None, 0.0, "none")
        known = await self._usable(classifier, cards, waits=self._has_stranger(cards))
        gone = frozenset(card.name for card in known) - {card.name for card in cards}
        decision = applied(await self._together(classifier, text, known, without | gone), stored)
        if decision.agent is None and known is not cards and await self._usable(classifier, cards, waits=True) is cards:
            known, decision = cards, await self._together(classifier, text, cards, without)
        return self._applied(decision, stored) if known is cards else decision

    def _applied(self, decision: RouteDecision, stored: StoredThreshold | None) -> RouteDecision:
        """Return the decision with the stored threshold; say once that it does not fit."""
        found = (stored, decision.model)
        if stored is not None and decision.best is not None and not stored.fits(decision) and found != self._unfit:
            self._unfit = found
            logger.warning(
                "the threshold %g from labelled traffic is not used: it was found with %s, now %s decides; "
                "`baton eval calibrate --apply` finds it anew, `--forget` removes it",
                stored.value,
                stored.model,
                decision.model or decision.method,
            )
        return applied(decision, stored)

    async def shift(self, decision: RouteDecision, text: str, *, active: str, said: str) -> Shift | None:
        """Tell whether a message is for another agent than the one that has the conversation.

        Args:
            decision: Of the message, over all routable agents.
            text: The message.
            active: Who has the conversation.
            said: What an agent said last; may be empty.
        """
        if self.false_share <= 0.0 or decision.best is None:
            return None
        heard = await in_thread(heard_by, await self._made(), text, active=active, said=said)
        return recognise(decision, heard, false_share=self.false_share)

    def close(self) -> None:
        """Stop learning and answering."""
        for task in (self._warming, self._learning, self._answering):
            if task is not None:
                task.cancel()

    async def _made(self) -> Classifier:
        async with self._making:
            if self._classifier is None:
                self._classifier = await in_thread(self._make)
            return self._classifier

    def _routable(self, graph: Graph, active: str | None = None) -> tuple[Card, ...]:
        """Return the cards to choose from: one tuple for as long as the graph has the same cards."""
        extra = graph.cards.get(active or "")
        key = active if extra is not None and not extra.entry else None
        seen, known = self._seen.get(key, ({}, ()))
        if seen is not graph.cards:
            cards = tuple(route.routable(graph.cards, key))
            known = known if cards == known else cards
            self._seen[key] = (graph.cards, known)
        return known

    def _is_known(self, classifier: Trainable, cards: tuple[Card, ...]) -> bool:
        """Return True where `cards` need not be learnt first; else begin to learn them."""
        if self._known is cards:
            return True
        if classifier.is_ready(cards):
            self._known = cards
            return True
        if (self._learning is None or self._learning.done()) and self._failure(cards) is None:
            self._learning = asyncio.create_task(self._learn(classifier, cards))
        return False

    def _has_stranger(self, cards: tuple[Card, ...]) -> bool:
        """Return True where one of `cards` is of an agent that no decision could be for yet."""
        known = {card.name for card in self._known or ()}
        return any(card.name not in known for card in cards)

    def _failure(self, cards: tuple[Card, ...]) -> Exception | None:
        """Return why `cards` could not be learnt a moment ago; None: they may be tried."""
        if self._failed is None or self._failed.cards is not cards:
            return None
        return self._failed.why if asyncio.get_running_loop().time() < self._failed.until else None

    async def _usable(self, classifier: Trainable, cards: tuple[Card, ...], *, waits: bool) -> tuple[Card, ...]:
        """Return `cards` once they are known; meanwhile, or where they cannot be learnt, those known before.

        Args:
            classifier: Learns them.
            cards: At least one.
            waits: Whether to wait until they are learnt, even where others were known before.

        Raises:
            TransientError: They cannot be learnt, and none were known before.
        """
        while not self._is_known(classifier, cards):
            why = self._failure(cards)
            if self._known is not None and (why or not waits):
                return self._known
            if why:
                raise TransientError(f"the agents' cards cannot be learnt: {type(why).__name__}: {why}") from why
            assert self._learning is not None
            await asyncio.shield(self._learning)
        return cards

    async def _learn(self, classifier: Trainable, cards: tuple[Card, ...]) -> None:
        """Learn `cards`; a failure is kept for those who wait, as at times nobody does."""
        try:
            await in_thread(_prepare, classifier, cards)
        except Exception as error:
            self._failed = _Failed(cards, asyncio.get_running_loop().time() + LEARN_AGAIN_S, error)
            logger.exception("learning the agents' cards failed; not tried again for %g s", LEARN_AGAIN_S)

    async def _together(
        self, classifier: Trainable, text: str, cards: tuple[Card, ...], without: frozenset[str]
    ) -> RouteDecision:
        """Classify a text with those that wait."""
        answer: asyncio.Future[RouteDecision] = asyncio.get_running_loop().create_future()
        self._asked.append(_Asked(text, cards, without, answer))
        if self._answering is None or self._answering.done():
            self._answering = asyncio.create_task(self._answer(classifier))
        return await answer

    async def _answer(self, classifier: Trainable) -> None:
        while taken := self._taken():
            texts, (_, cards, without, _) = [one.text for one in taken], taken[0]
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT_S):  # one call that hangs must not hold all that follow
                    answers = await in_thread(classifier.classify_many, texts, cards, without=without)
                for one, answer in list(zip(taken, answers, strict=True)):
                    if not one.answer.done():
                        one.answer.set_result(answer)
            except Exception as error:  # each of those who asked is told
                for one in taken:
                    if not one.answer.done():
                        one.answer.set_exception(error)

    def _taken(self) -> list[_Asked]:
        """Take from those who wait the first, and who can be answered with it; who gave up is dropped."""
        waiting = [one for one in self._asked if not one.answer.done()]
        taken: list[_Asked] = []
        self._asked = []
        for one in waiting:
            fits = one.cards is waiting[0].cards and one.without == waiting[0].without
            (taken if fits and len(taken) < TOGETHER else self._asked).append(one)
        return taken


def _prepare(classifier: Trainable, cards: tuple[Card, ...]) -> None:
    classifier.prepare(cards)
    if not classifier.is_ready(cards):  # asked again and again, it would never be
        raise RuntimeError(f"{type(classifier).__name__} is not ready for the cards that it prepared")


def heard_by(classifier: Classifier, text: str, *, active: str, said: str) -> Heard:
    """Return what the recogniser is to judge.

    Args:
        classifier: One that can tell likeness is asked for it.
        text: The user's message.
        active: The agent that has the conversation.
        said: What an agent said last; may be empty.
    """
    likeness = classifier.likeness(text, said) if said and isinstance(classifier, Trainable) else 0.0
    return Heard(text, active, said, likeness)
