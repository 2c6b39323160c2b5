"""What a model's confidences mean: how often it is right at one, and below which it should abstain.

In: a trained model. Out: a `Calibration` for `offline`. What examples score by models that have not seen them
stands for requests to come; what they score when their agent is left out stands for requests nobody handles.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from baton.routing.features import FloatArray
from baton.routing.model import OfflineModel, spread

LEAST_THRESHOLD = 0.04
"""Less is never accepted: where skills have two or three examples, each that is held out scores too low."""
DEFAULT_THRESHOLD = 0.05
"""For cards with too few examples to measure the share on."""
FOREIGN_SHARE = 0.1
"""Of the traffic that a probability is given for; what the true share is nobody knows beforehand."""
_WRONG_COST = 4
"""Right answers that a wrong one undoes: a request at the fallback is handled a little later, this one wrongly."""
_SLOPES = (1.0, 8.0)
_SAMPLE = 400  # texts; bounds the time where there are thousands, and is plenty for a quantile


@dataclass(frozen=True, slots=True)
class Calibration:
    """Makes probabilities of confidences; monotonic, so that it changes no order."""

    slope: float
    offset: float
    threshold: float
    """A confidence of the model, `LEAST_THRESHOLD` to 1; below it the classifier abstains."""

    def probability(self, confidences: FloatArray) -> FloatArray:
        """Return how likely the choice is right at each of the model's confidences, 0 to 1."""
        logits = self.slope * np.log(np.maximum(confidences, 1e-6)) + self.offset
        probabilities: FloatArray = (1.0 / (1.0 + np.exp(-logits))).astype(np.float32)
        return probabilities


def calibrated(model: OfflineModel, *, reject_share: float) -> Calibration:
    """Find what the confidences of a model mean, from its own cards.

    Args:
        model: Trained on the cards.
        reject_share: Of the cards' own examples it may reject at most this share, 0 to 1; the more,
            the rarer a foreign request is taken.

    Source:
        research/routing.md section 3, 'loao': leave each agent out in turn, its examples play foreign.
    """
    own, right = model.held_out.confidences, model.held_out.is_right
    if not len(own):
        return Calibration(_SLOPES[0], -_SLOPES[0] * float(np.log(DEFAULT_THRESHOLD)), DEFAULT_THRESHOLD)
    foreign = foreign_confidences(model)
    slope, offset = fitted(own, right, np.concatenate(foreign))
    return Calibration(slope, offset, best_threshold(own, right, foreign, reject_share=reject_share))


def foreign_confidences(model: OfflineModel) -> list[FloatArray]:
    """Return the confidences of what plays foreign: the background, and examples whose agent is left out."""
    background = spread(np.flatnonzero(model.agent_of_text == len(model.training.agents)), _SAMPLE)
    foreign = [model.scores_left_out(background, agent_too=False).confidences()]
    examples = spread(np.flatnonzero(model.training.is_example), _SAMPLE)
    if len(examples) and len(model.training.agents) > 1:
        foreign.append(model.scores_left_out(examples, agent_too=True).confidences())
    return foreign


def traffic_threshold(
    own: Sequence[tuple[float, bool]], foreign: Sequence[Sequence[float]], *, reject_share: float
) -> float:
    """Return the best threshold for labelled traffic, 0 to 1.

    Args:
        own: Of each request for an agent its confidence, and whether the likeliest agent was right; at least one.
        foreign: Confidences of requests for nobody, by kind; at least one kind, none of them empty.
        reject_share: At most this share of `own` may fall below the threshold.
    """
    confidences = np.array([confidence for confidence, _ in own], dtype=np.float32)
    right = np.array([is_right for _, is_right in own], dtype=np.bool_)
    kinds = [np.array(kind, dtype=np.float32) for kind in foreign]
    # Six digits, as decisions are rounded: what lies at the threshold is to be at it for them, too.
    return round(best_threshold(confidences, right, kinds, reject_share=reject_share), 6)


def fitted(own: FloatArray, right: npt.NDArray[np.bool_], foreign: FloatArray) -> tuple[float, float]:
    """Return slope and offset of the logistic function of ln(confidence) that tells right choices from others.

    Args:
        own: Confidences of own texts, at least one.
        right: Whether each of them went to its agent.
        foreign: Confidences of foreign texts, at least one; all together they count `FOREIGN_SHARE`.

    Source:
        Platt, Probabilistic Outputs for Support Vector Machines, 1999: targets that are not quite 0 and 1.
    """
    logs = np.log(np.maximum(np.concatenate((own, foreign)), 1e-6))
    weights = np.concatenate((np.ones(len(own)), np.full(len(foreign), len(own) * FOREIGN_SHARE / len(foreign))))
    wanted = np.concatenate((right, np.zeros(len(foreign), dtype=np.bool_)))
    hits, misses = float(weights[wanted].sum()), float(weights[~wanted].sum())
    targets = np.where(wanted, (hits + 1) / (hits + 2), 1 / (misses + 2))
    slope, offset = 2.0, 2.0
    for _ in range(25):
        chances = 1 / (1 + np.exp(-(slope * logs + offset)))
        errors, curves = weights * (chances - targets), weights * chances * (1 - chances) + 1e-9
        gradient = np.array([errors @ logs + (slope - 2.0), errors.sum() + 0.01 * offset])
        cross = float(curves @ logs)
        hessian = np.array([[curves @ logs**2 + 1.0, cross], [cross, curves.sum() + 0.01]])
        step = np.clip(np.linalg.solve(hessian, gradient), (-1.0, -2.0), (1.0, 2.0))
        if not _SLOPES[0] < slope - step[0] < _SLOPES[1]:
            # At a bound the slope stands, and the offset goes its own way.
            alone = np.clip(gradient[1] / hessian[1, 1], -2.0, 2.0)
            step = np.array([slope - np.clip(slope - step[0], *_SLOPES), alone])
        slope, offset = float(slope - step[0]), float(np.clip(offset - step[1], -20.0, 20.0))
    return slope, offset


def best_threshold(
    own: FloatArray, right: npt.NDArray[np.bool_], foreign: Sequence[FloatArray], *, reject_share: float
) -> float:
    """Return the threshold with the most own texts taken, rightly, and foreign texts rejected.

    Args:
        own: Confidences of own texts, at least one.
        right: Whether each of them went to its agent.
        foreign: Confidences of foreign texts, by kind; each kind weighs the same.
        reject_share: At most this share of `own` may fall below the threshold.
    """
    if not reject_share:
        return LEAST_THRESHOLD
    rejectable = min(int(reject_share * (len(own) + 1)), len(own)) - 1
    if rejectable < 0:
        return DEFAULT_THRESHOLD
    ranked = np.sort(own)
    candidates = [LEAST_THRESHOLD, *(float(c) for c in ranked[: rejectable + 1] if c > LEAST_THRESHOLD)]

    def gain(threshold: float) -> float:
        taken = float(np.mean(np.where(right, 1, -_WRONG_COST) * (own >= threshold)))
        return taken + float(np.mean([np.mean(kind < threshold) for kind in foreign]))

    return max(candidates, key=gain)
