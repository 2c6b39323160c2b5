"""The figures of routing: how often it is right, how much it answers, what it does with foreign requests.

In: judged rows. Out: shares from 0 to 1, None where nothing can be said.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from baton.evaluation import curves
from baton.evaluation.judged import Judged, at_threshold

DIGITS = 6
"""Of a share, as it is printed in JSON."""


def share(part: float, whole: float) -> float | None:
    """Return a part of a whole, 0 to 1; None where there is no whole."""
    return part / whole if whole else None


def accuracy(judged: Sequence[Judged]) -> float | None:
    """Return the share of rows in scope whose likeliest agent is right, whether or not it was answered."""
    return share(sum(one.is_right for one in judged), sum(not one.is_oos for one in judged))


def macro_f1(judged: Sequence[Judged]) -> float | None:
    """Return the mean F1 of all agents that are right or likeliest in any row in scope."""
    own = [one for one in judged if not one.is_oos]
    wanted: Counter[str | None] = Counter(one.truth for one in own)
    found: Counter[str | None] = Counter(one.best for one in own if one.best is not None)
    right: Counter[str | None] = Counter(one.truth for one in own if one.is_right)
    scores = [2 * right[agent] / (wanted[agent] + found[agent]) for agent in wanted.keys() | found.keys()]
    return share(math.fsum(scores), len(scores))


def answered_accuracy(judged: Sequence[Judged]) -> float | None:
    """Return the share of rows in scope that were answered rightly."""
    own = [one for one in judged if not one.is_oos]
    return share(sum(one.is_right and one.is_answered for one in own), len(own))


def oos_recall(judged: Sequence[Judged]) -> float | None:
    """Return the share of rows out of scope that were not answered; None without any."""
    foreign = [one for one in judged if one.is_oos]
    return share(sum(not one.is_answered for one in foreign), len(foreign))


def oos_precision(judged: Sequence[Judged]) -> float | None:
    """Return the share of the unanswered that are out of scope; None without any row out of scope."""
    if not any(one.is_oos for one in judged):
        return None
    rejected = [one for one in judged if not one.is_answered]
    return share(sum(one.is_oos for one in rejected), len(rejected)) or 0.0


def routing_figures(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return all figures of routed rows.

    Args:
        judged: At least one.

    Returns:
        Shares of 6 digits and counts, by name, in the order in which they are printed.
    """
    points = curves.curve(judged)
    answered = [one for one in judged if one.is_answered]
    bins = curves.reliability(judged)
    found: dict[str, Any] = {
        "n": len(judged),
        "accuracy": accuracy(judged),
        "macro_f1": macro_f1(judged),
        "coverage_95": curves.coverage_at(points, 0.95),
        "coverage_98": curves.coverage_at(points, 0.98),
        "oos_recall": oos_recall(judged),
        "oos_precision": oos_precision(judged),
        "n_oos": sum(one.is_oos for one in judged),
        "coverage": len(answered) / len(judged),
        "right_of_answered": share(sum(one.is_right for one in answered), len(answered)),
        "answered_accuracy": answered_accuracy(judged),
        "auroc": curves.auroc(judged),
        **_rejecting(judged),
        "ece": curves.calibration_error(bins),
        "reliability": [
            {"from": part.start, "to": part.end, "n": part.n, "confidence": part.confidence, "right": part.right}
            for part in bins
        ],
    }
    rounded: dict[str, Any] = rounded_all(found)
    return rounded


def tuned_figures(judged: Sequence[Judged], threshold: float) -> dict[str, Any]:
    """Return what another threshold would give.

    Args:
        judged: Rows.
        threshold: Found on other rows.

    Returns:
        `threshold`, `accuracy` (of rows in scope, where to abstain is wrong), `oos_recall`, `oos_precision`.
    """
    other = at_threshold(judged, threshold)
    found: dict[str, Any] = rounded_all(
        {
            "threshold": threshold,
            "accuracy": answered_accuracy(other),
            "oos_recall": oos_recall(other),
            "oos_precision": oos_precision(other),
        }
    )
    return found


def rounded_all(value: Any) -> Any:
    """Return a value with every number in it as short as it is printed."""
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {name: rounded_all(one) for name, one in value.items()}
    return [rounded_all(one) for one in value] if isinstance(value, list) else value


def _rejecting(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return the figures where 5 % of what is in scope is rejected."""
    cut = at_threshold(judged, curves.rejecting_cut(judged))
    return {"oos_recall_rej5": oos_recall(cut), "accuracy_rej5": answered_accuracy(cut)}
