"""The confidence below which the classifier abstains, found from the cards alone.

In: a trained model. Out: a threshold for `lexical`. What an agent's examples score when they are left out
stands for requests to come; what they score when their agent is left out stands for requests nobody handles.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from baton.routing.features import FloatArray
from baton.routing.model import LexicalModel
from baton.routing.softmax import IntArray

LEAST_THRESHOLD = 0.04
"""Less is never accepted: where skills have two or three examples, each that is left out scores too low."""
DEFAULT_THRESHOLD = 0.05
"""For cards with too few examples to measure the share on."""
_SAMPLE = 400  # texts; bounds the time where there are thousands, and is plenty for a quantile


def calibrated_threshold(model: LexicalModel, *, reject_share: float) -> float:
    """Choose the threshold that best tells own requests from foreign ones.

    Args:
        model: Trained on the cards.
        reject_share: Of the cards' own examples it may reject at most this share, 0 to 1; the more,
            the rarer a foreign request is taken.

    Returns:
        `LEAST_THRESHOLD` to 1.

    Source:
        research/routing.md section 3, 'loao': leave each agent out in turn, its examples play foreign.
    """
    examples = _sample(np.flatnonzero(model.training.is_example))
    if not len(examples):
        return DEFAULT_THRESHOLD
    own = model.scores_left_out(examples, agent_too=False)
    right = own.best() == model.agent_of_text[examples]
    background = _sample(np.flatnonzero(model.agent_of_text == len(model.training.agents)))
    foreign = [model.scores_left_out(background, agent_too=False).confidences()]
    if len(model.training.agents) > 1:
        foreign.append(model.scores_left_out(examples, agent_too=True).confidences())
    return best_threshold(own.confidences(), right, foreign, reject_share=reject_share)


def best_threshold(
    own: FloatArray, right: npt.NDArray[np.bool_], foreign: Sequence[FloatArray], *, reject_share: float
) -> float:
    """Return the threshold with the most own texts taken rightly and foreign texts rejected.

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
        taken = float(np.mean(right & (own >= threshold)))
        return taken + float(np.mean([np.mean(kind < threshold) for kind in foreign]))

    return max(candidates, key=gain)


def _sample(rows: IntArray) -> IntArray:
    """Take at most `_SAMPLE` of `rows`, evenly spread."""
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), _SAMPLE)).astype(np.int64)]
