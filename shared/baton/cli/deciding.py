"""The model as evaluations call it: many texts at a time, and the recogniser after it.

In: texts and cards. Out: decisions; the agent that a turn is handed off to.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

from baton.card import Card
from baton.config import Settings
from baton.errors import ConfigError
from baton.evaluation.dialogues import DialogueTurn
from baton.hop.judge import heard_by
from baton.router import default_classifier
from baton.routing.decision import Classifier, RouteDecision, possible
from baton.routing.recognise import FALSE_SHARE, recognise

BUDGET = FALSE_SHARE
"""Share of the turns that should stay which may be handed off."""
BATCH = 128
"""Texts that are classified together."""


class Guarded:
    """A team's own classifier, whose mistakes are told instead of traced."""

    def __init__(self, own: Classifier) -> None:
        self._own = own

    def classify(self, text: str, cards: Sequence[Card]) -> RouteDecision:
        """Decide as it does. See `Classifier.classify`.

        Raises:
            ConfigError: It raised, or returned no decision.
        """
        try:
            return possible(self._own.classify(text, cards), [card.name for card in cards])
        except Exception as error:
            kind = type(error).__name__
            raise ConfigError(f"the team's classifier cannot be used, {kind}: {error}") from error


def classifier_for(*, is_lexical: bool = False, foreign: Sequence[str] = ()) -> Classifier:
    """Return the classifier that a router with these settings would use.

    Args:
        is_lexical: True: the one without an encoder, whatever the settings say.
        foreign: Texts that no agent handles, to learn from.

    Raises:
        ConfigError: The settings are wrong.
    """
    is_set = Settings.from_env(os.environ).encoder == "none"
    return default_classifier(is_lexical=is_lexical or is_set, foreign=foreign)


def decide_all(
    classifier: Classifier, texts: Sequence[str], cards: Sequence[Card], advance: Callable[[], None] = lambda: None
) -> list[RouteDecision]:
    """Classify texts, together where the classifier can.

    Args:
        classifier: Any; one with `classify_many(texts, cards)` is given `BATCH` texts at a time.
        texts: Requests.
        cards: The routable agents.
        advance: Called after each text.

    Raises:
        ConfigError: There is no card to choose from.
    """
    if not cards:
        raise ConfigError("no agent to choose from; at least one card must be an entry")
    many: Any = getattr(classifier, "classify_many", None)
    decisions: list[RouteDecision] = []
    for start in range(0, len(texts), BATCH):
        batch = texts[start : start + BATCH]
        if many is not None:
            decisions += many(batch, cards)
        for text in batch:
            if many is None:
                decisions.append(classifier.classify(text, cards))
            advance()
    return decisions


def handed_off(classifier: Classifier, decision: RouteDecision, turn: DialogueTurn, *, budget: float) -> str | None:
    """Return the agent that a confident shift hands a turn off to; None: it stays.

    Args:
        classifier: That made the decision.
        decision: The message's, over all routable agents.
        turn: At which an agent has the conversation.
        budget: Share of the turns that should stay which may be handed off.
    """
    heard = heard_by(classifier, turn.user, active=turn.active or "", said=turn.said)
    shift = recognise(decision, heard, false_share=budget)
    return shift.targets[0][0] if shift is not None and shift.confident else None
