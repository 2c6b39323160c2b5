"""The default classifier: offline, trained from the cards whenever they change.

In: a text and the cards. Out: a `RouteDecision` with method `minilm` or `lexical`.
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from baton.card import Card
from baton.routing import kept_vectors
from baton.routing.calibration import Calibration, calibrated, foreign_confidences
from baton.routing.card_set import card_set_hash
from baton.routing.decision import RouteDecision
from baton.routing.features import FloatArray, normalise
from baton.routing.index import TextIndex
from baton.routing.minilm import Encoder
from baton.routing.model import OfflineModel, Scores
from baton.routing.training_set import TrainingSet, collect

logger = logging.getLogger("baton")

LEXICAL = "lexical"
REVISION = 4
"""Counts what would make the same cards and text decide otherwise: part of a decision's `model`."""
ENCODED_TEXTS = 6_600
"""Cards with more texts than this are told apart by words alone: encoding takes some 2 ms a text."""
_KEPT_MODELS = 8  # an agent that the router never chooses makes a set of its own where it has the conversation


@dataclass(frozen=True, slots=True)
class _Trained:
    model: OfflineModel
    calibration: Calibration
    threshold: float
    """As a probability."""
    method: str
    name: str


class OfflineClassifier:
    """Words and meaning into a softmax regression over skills, summed to agents; abstains when unsure.

    Safe to share between threads. The first call with new cards trains, and who asks with the same cards
    meanwhile waits; `prepare` does it beforehand.

    Args:
        encoder: Gives the meaning of texts; None: words alone.
        reject_share: The knob between taking too much and too little, 0 to 1: of the agents' own examples,
            judged by models that have not seen them, at most this share is rejected; of real requests
            less, as all examples stand by them. The smaller, the more foreign ones are taken.
        foreign: Requests that no agent handles, beside the ones that ship with Baton.

    Raises:
        ValueError: `reject_share` is no share.
    """

    def __init__(
        self, encoder: Encoder | None = None, *, reject_share: float = 0.17, foreign: Sequence[str] = ()
    ) -> None:
        if not 0.0 <= reject_share <= 1.0:
            msg = f"reject_share is {reject_share!r}; it is a share, 0 to 1"
            raise ValueError(msg)
        self._encoder = encoder
        self._reject_share = reject_share
        self._foreign = tuple(foreign)
        self._lock = threading.Lock()
        self._has_warned = False
        self._models: dict[str, _Trained] = {}
        self._latest: tuple[tuple[Card, ...], _Trained] | None = None

    @property
    def method(self) -> str:
        """How it decides: `minilm` where it has an encoder, else `lexical`."""
        return LEXICAL if self._encoder is None else self._encoder.name.partition("-")[0]

    def classify(self, text: str, cards: Sequence[Card], *, without: frozenset[str] = frozenset()) -> RouteDecision:
        """Decide which of `cards` is best placed to take `text`.

        Args:
            text: Its first `features.MAX_CHARS` characters are read.
            cards: The routable agents, in any order; none: abstains with confidence 0.
            without: Agents among them that are not to be chosen, as if they had no card.
        """
        return self.classify_many([text], cards, without=without)[0]

    def classify_many(
        self, texts: Sequence[str], cards: Sequence[Card], *, without: frozenset[str] = frozenset()
    ) -> list[RouteDecision]:
        """Decide on several texts; cheaper than one by one."""
        if all(card.name in without for card in cards):
            return [RouteDecision(None, None, 0.0, None, 0.0, self.method) for _ in texts]
        trained = self.prepare(cards)
        if not texts:
            return []
        scores = trained.model.scores(texts, without)
        confidences = scores.confidences()
        return [_decision(trained, scores, row, confidences[row : row + 1], without) for row in range(len(texts))]

    def likeness(self, text: str, other: str) -> float:
        """Return how alike two texts are, -1 to 1: by their meaning, without an encoder by their words."""
        one, two = normalise(text), normalise(other)
        if self._encoder is None:
            return _rounded(TextIndex([one]).similarities(two)[0])
        first, second = self._encoder.encode([one, two])
        return _rounded(first @ second)

    def foreign_confidences(self, cards: Sequence[Card]) -> list[list[float]]:
        """Return how sure it is of requests that no agent handles, as far as `cards` tell; by kind, 0 to 1.

        Args:
            cards: At least one.
        """
        trained = self.prepare(cards)
        kinds = foreign_confidences(trained.model)
        return [list(map(_rounded, trained.calibration.probability(kind))) for kind in kinds]

    def is_ready(self, cards: Sequence[Card]) -> bool:
        """Return True where a decision over `cards` needs no training first."""
        return not cards or card_set_hash(cards) in self._models

    def prepare(self, cards: Sequence[Card]) -> _Trained:
        """Train on `cards`, at least one, unless that was done."""
        asked, latest = tuple(cards), self._latest
        # The very same objects need no hashing; holding them keeps their identities from being reused.
        if latest and _are_same(latest[0], asked):
            return latest[1]
        key = card_set_hash(asked)
        trained = self._models.get(key)
        if trained is None:
            with self._lock:
                trained = self._models.get(key) or self._train(asked, key)
                self._models[key] = trained
                if len(self._models) > _KEPT_MODELS:
                    del self._models[next(iter(self._models))]
        self._latest = (asked, trained)
        return trained

    def _train(self, cards: tuple[Card, ...], key: str) -> _Trained:
        training = collect(cards, self._foreign)
        encoder = fitting(self._encoder, training)
        if encoder is not self._encoder and not self._has_warned:
            self._has_warned = True  # once, however often such cards change
            told = "routing by words alone: the cards have %d texts, more than the %d that the model reads"
            logger.warning(told, len(training.texts), ENCODED_TEXTS)
        model = OfflineModel(training, encoder, {} if encoder is None else self._vectors(training.texts, encoder))
        calibration = calibrated(model, reject_share=self._reject_share)
        threshold = _rounded(calibration.probability(np.array([calibration.threshold]))[0])
        method = LEXICAL if encoder is None else self.method
        return _Trained(model, calibration, threshold, method, model_name(encoder, key))

    def _vectors(self, texts: Sequence[str], encoder: Encoder) -> dict[str, FloatArray]:
        """Return the texts' vectors: known from earlier models, from earlier processes, or made now."""
        known: dict[str, FloatArray] = {}
        for earlier in self._models.values():
            known.update(earlier.model.vectors if earlier.method != LEXICAL else {})
        if any(text not in known for text in texts):
            path = kept_vectors.place(encoder.name)
            known.update(kept_vectors.load(path, texts, encoder.dimensions))
            missing = [text for text in texts if text not in known]
            if missing:
                known.update(zip(missing, encoder.encode(missing), strict=True))
                kept_vectors.save(path, {text: known[text] for text in texts})
        return known


def fitting(encoder: Encoder | None, training: TrainingSet) -> Encoder | None:
    """Return the encoder that reads the texts of a training set; None where there are more than `ENCODED_TEXTS`."""
    return encoder if len(training.texts) <= ENCODED_TEXTS else None


def model_name(encoder: Encoder | None, cards: str) -> str:
    """Return what decisions call their model: the encoder, `REVISION` and the cards, of which the hash is given."""
    return f"{LEXICAL if encoder is None else encoder.name}/{REVISION}/{cards[:12]}"


def _decision(
    trained: _Trained, scores: Scores, row: int, confidences: FloatArray, without: frozenset[str]
) -> RouteDecision:
    agents = trained.model.training.agents
    # Reading arrays number by number takes longer than all the rest of a lexical decision.
    chances, nearest = scores.agents[row].tolist(), scores.nearest[row].tolist()
    order = np.argsort(-scores.agents[row], kind="stable").tolist()
    ranking = [place for place in order if agents[place] not in without]
    best = ranking[0]
    runner_up = ranking[1] if len(ranking) > 1 else None
    margin = scores.agents[row, best] - (0.0 if runner_up is None else scores.agents[row, runner_up])
    confidence = _rounded(trained.calibration.probability(confidences)[0])
    sure = confidence >= trained.threshold
    skill = trained.model.best_skill(scores, row, best)
    return RouteDecision(
        agent=agents[best] if sure else None,
        skill=skill if sure else None,
        confidence=confidence,
        runner_up=None if runner_up is None else agents[runner_up],
        margin=_rounded(margin),
        method=trained.method,
        threshold=trained.threshold,
        best=agents[best],
        best_skill=skill,
        scores={agents[place]: _rounded(chances[place]) for place in sorted(ranking)},
        nearest={agents[place]: _rounded(nearest[place]) for place in sorted(ranking)},
        background=_rounded(scores.background[row]),
        model=trained.name,
    )


def _are_same(one: tuple[Card, ...], other: tuple[Card, ...]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))


def _rounded(value: float) -> float:
    """Keep what is meant: further digits differ between processors."""
    return round(float(value), 6)
