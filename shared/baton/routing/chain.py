"""How a request without a named agent finds one: rules, the offline classifier, a language model for the unsure.

In: a text, facts and the cards. Out: a `RouteDecision`; `protocol.route` sends what has no agent to the fallback.
`hop.judge` goes the same way in a router, where requests are classified together and cards change meanwhile.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from baton.card import Card
from baton.routing import rules
from baton.routing.decision import Classifier, RouteDecision
from baton.routing.llm import LLMClassifier
from baton.routing.stored_threshold import StoredThreshold, applied


class Chain:
    """Rules, then a classifier, then a language model where that is unsure; safe to share between threads.

    Args:
        offline: Decides what no rule does.
        llm: Is asked where `offline` is unsure; None: nobody is.
        threshold: That of labelled traffic, used where it fits; None: that of `offline`.
    """

    def __init__(
        self, offline: Classifier, llm: LLMClassifier | None = None, threshold: StoredThreshold | None = None
    ) -> None:
        self.offline = offline
        self.llm = llm
        self.threshold = threshold

    def decide(
        self, text: str, facts: Mapping[str, Any], cards: Sequence[Card], *, without: frozenset[str] = frozenset()
    ) -> RouteDecision:
        """Decide on one text; blocks for as long as the language model may take.

        Args:
            text: The request, 1 character to 256 KiB.
            facts: Of the conversation, the request's own among them.
            cards: The routable agents; may be empty.
            without: Agents that are not to be chosen.
        """
        found = rules.match(text, facts, cards, without)
        if found is not None:
            return found
        decision = self.offline.classify(text, [card for card in cards if card.name not in without])
        decision = applied(decision, self.threshold)
        if self.llm is None or not self.llm.is_unsure(decision):
            return decision
        return self.llm.decide(text, decision, cards=cards, without=without)
