"""What a threshold costs and gains: figures over every confidence at which one could be set.

In: judged rows. Out: coverage at a precision, cuts for out-of-scope requests, reliability by confidence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from baton.evaluation.judged import Judged

BINS = 10
"""Equal parts of 0 to 1 that confidences are sorted into."""
REJECTED_SHARE = 0.05
"""Of the rows in scope, at the cut that `rejecting_cut` finds."""


@dataclass(frozen=True, slots=True)
class Point:
    """What a threshold would give."""

    threshold: float
    """Rows of this confidence or more are answered."""
    coverage: float
    """Share of all rows that are answered, 0 to 1."""
    precision: float
    """Share of the answered that are right, 0 to 1; what is out of scope is never right."""


@dataclass(frozen=True, slots=True)
class Bin:
    """The rows of about one confidence."""

    start: float
    end: float
    n: int
    confidence: float
    """Their mean confidence, 0 to 1."""
    right: float
    """Share of them that are right, 0 to 1."""


def curve(judged: Sequence[Judged]) -> list[Point]:
    """Return a point for each confidence, from the most sure on; rows of one confidence go together."""
    ranked = sorted((one for one in judged if one.best is not None), key=lambda one: -one.confidence)
    points: list[Point] = []
    answered = right = 0
    for confidence, tied in groupby(ranked, key=lambda one: one.confidence):
        for one in tied:
            answered += 1
            right += one.is_right
        points.append(Point(confidence, answered / len(judged), right / answered))
    return points


def coverage_at(points: Sequence[Point], precision: float) -> float:
    """Return the largest share of all rows that can be answered at a precision, 0 to 1.

    Args:
        points: A `curve`.
        precision: At least this share of the answered is right.
    """
    return max((point.coverage for point in points if point.precision >= precision), default=0.0)


def auroc(judged: Sequence[Judged]) -> float | None:
    """Return how well confidence tells rows in scope from those out of scope.

    Returns:
        The share of pairs of one of each in which the one in scope has the higher confidence, ties
        counting half, 0 to 1; None where there are no pairs.
    """
    ranked = sorted(judged, key=lambda one: one.confidence)
    inside = outside = 0
    wins = 0.0
    for _, tied in groupby(ranked, key=lambda one: one.confidence):
        group = list(tied)
        foreign = sum(one.is_oos for one in group)
        own = len(group) - foreign
        wins += own * (outside + foreign / 2)
        inside, outside = inside + own, outside + foreign
    return wins / (inside * outside) if inside and outside else None


def tuned_threshold(judged: Sequence[Judged]) -> float:
    """Return the threshold with the most rows right, where to abstain is right of what is out of scope.

    Args:
        judged: At least one.

    Returns:
        One of the confidences, or 1.01 where to answer nothing is best; of equally good ones the least.

    Source:
        Larson et al. 2019, oos-threshold: the best validation score with out-of-scope as one more class.
    """
    ranked = sorted(judged, key=lambda one: -one.confidence)
    score = best_score = sum(one.is_oos for one in ranked)
    best = 1.01
    for confidence, tied in groupby(ranked, key=lambda one: one.confidence):
        score += sum(int(one.is_right) - int(one.is_oos) for one in tied)
        if score >= best_score:
            best_score, best = score, confidence
    return best


def rejecting_cut(judged: Sequence[Judged], share: float = REJECTED_SHARE) -> float:
    """Return the threshold that rejects at most a share of the rows in scope, and as much of it as can be.

    Args:
        judged: Rows.
        share: 0 to 1.

    Returns:
        A confidence; 0 where there is no row in scope.
    """
    own = sorted(one.confidence for one in judged if not one.is_oos)
    return own[min(int(share * len(own)), len(own) - 1)] if own else 0.0


def reliability(judged: Sequence[Judged]) -> list[Bin]:
    """Return how often rows of about one confidence are right; parts without rows are left out."""
    parts: dict[int, list[Judged]] = {}
    for one in judged:
        parts.setdefault(min(int(one.confidence * BINS), BINS - 1), []).append(one)
    return [
        Bin(
            place / BINS,
            (place + 1) / BINS,
            len(rows),
            sum(one.confidence for one in rows) / len(rows),
            sum(one.is_right for one in rows) / len(rows),
        )
        for place, rows in sorted(parts.items())
    ]


def calibration_error(bins: Sequence[Bin]) -> float:
    """Return the mean distance between confidence and share right over all rows (ECE), 0 to 1."""
    total = sum(part.n for part in bins)
    return sum(part.n * abs(part.confidence - part.right) for part in bins) / total if total else 0.0
