"""The default classifier: offline, numpy only, trained from the cards whenever they change.

In: a text and the cards. Out: a `RouteDecision` with method `lexical`, for the router's chain.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from baton.card import Card
from baton.routing.calibration import calibrated_threshold
from baton.routing.card_set import card_set_hash
from baton.routing.decision import RouteDecision
from baton.routing.model import LexicalModel
from baton.routing.training_set import collect

METHOD = "lexical"
_KEPT_MODELS = 4  # the front door and the recogniser ask over different sets of cards


@dataclass(frozen=True, slots=True)
class _Trained:
    model: LexicalModel
    threshold: float


class LexicalClassifier:
    """Hashed n-grams into a softmax regression over skills, summed to agents; abstains when unsure.

    Safe to share between threads. The first call with new cards trains (about a second for 77 skills of
    10 examples), and who asks with the same cards meanwhile waits; later calls take half a millisecond.
    """

    def __init__(self, *, reject_share: float = 0.1) -> None:
        """Make a classifier that has seen no cards yet.

        Args:
            reject_share: The knob between taking too much and too little, 0 to 1: of the requests that
                the agents' own examples stand for, about this share at most is rejected. The smaller,
                the more foreign requests are taken too.

        Raises:
            ValueError: `reject_share` is no share.
        """
        if not 0.0 <= reject_share <= 1.0:
            msg = f"reject_share is {reject_share!r}; it is a share, 0 to 1"
            raise ValueError(msg)
        self._reject_share = reject_share
        self._lock = threading.Lock()
        self._models: dict[str, _Trained] = {}
        self._latest: tuple[tuple[Card, ...], _Trained] | None = None

    def classify(self, text: str, cards: Sequence[Card]) -> RouteDecision:
        """Decide which of `cards` is best placed to take `text`.

        Args:
            text: Its first `features.MAX_CHARS` characters are read.
            cards: The routable agents, in any order; none: abstains with confidence 0.
        """
        if not cards:
            return RouteDecision(None, None, 0.0, None, 0.0, METHOD)
        return _decision(self._trained(tuple(cards)), text)

    def _trained(self, cards: tuple[Card, ...]) -> _Trained:
        latest = self._latest
        # The very same objects need no hashing; holding them keeps their identities from being reused.
        if latest and _are_same(latest[0], cards):
            return latest[1]
        key = card_set_hash(cards)
        trained = self._models.get(key)
        if trained is None:
            with self._lock:
                trained = self._models.get(key) or self._train(cards)
                self._models[key] = trained
                if len(self._models) > _KEPT_MODELS:
                    del self._models[next(iter(self._models))]
        self._latest = (cards, trained)
        return trained

    def _train(self, cards: tuple[Card, ...]) -> _Trained:
        model = LexicalModel(collect(cards))
        return _Trained(model, _rounded(calibrated_threshold(model, reject_share=self._reject_share)))


def _decision(trained: _Trained, text: str) -> RouteDecision:
    training = trained.model.training
    scores = trained.model.scores(text)
    ranking = np.argsort(-scores.agents[0], kind="stable")
    best = int(ranking[0])
    runner_up = int(ranking[1]) if len(ranking) > 1 else None
    margin = scores.agents[0, best] - (0.0 if runner_up is None else scores.agents[0, runner_up])
    confidence = _rounded(scores.confidences()[0])
    sure = confidence >= trained.threshold
    return RouteDecision(
        agent=training.agents[best] if sure else None,
        skill=trained.model.best_skill(scores, best) if sure else None,
        confidence=confidence,
        runner_up=None if runner_up is None else training.agents[runner_up],
        margin=_rounded(margin),
        method=METHOD,
        threshold=trained.threshold,
        best=training.agents[best],
        scores={agent: _rounded(p) for agent, p in zip(training.agents, scores.agents[0], strict=True)},
    )


def _are_same(one: tuple[Card, ...], other: tuple[Card, ...]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))


def _rounded(value: float) -> float:
    """Keep what is meant: further digits differ between processors."""
    return round(float(value), 6)
