"""Softmax regression over classes of texts, trained on how alike the texts are.

In: similarities, among the texts and then of a query with them. Out: logits per class; `model` makes
probabilities of them. The regression is kept in its dual form, one coefficient per text and class: the
similarities are needed for the nearest example anyway, and the cost does not grow with the n-grams.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from baton.routing.features import FloatArray

IntArray = npt.NDArray[np.int64]

EXACT_TEXTS = 6_600
"""The regression takes no more texts than this: their similarities fill 170 MiB."""
_WORK = 4e11
"""Multiplications that one training may take: 10 to 20 s of one core."""
_ITERATIONS = (20, 70)  # fewer are worse than prototypes; more change nothing
_MARGIN = np.float32(1.1)  # an eigenvalue that is estimated is a little too small
_DECAY = np.float32(0.01)


class Head(Protocol):
    """What makes logits of similarities."""

    def logits(self, similarities: FloatArray) -> FloatArray:
        """Map similarities, shape (rows, texts), to logits, shape (rows, classes)."""
        ...


class Regression:
    """Softmax regression with L2 decay and without a bias."""

    def __init__(self, gram: FloatArray, classes: IntArray, *, weights: FloatArray, iterations: int) -> None:
        """Train by gradient descent with Nesterov's momentum; the result depends on the input only.

        Args:
            gram: Similarities among the texts, shape (texts, texts), symmetric.
            classes: The class of each text, from 0, shape (texts,).
            weights: What each text counts, 0 to 2, shape (texts,).
            iterations: Passes over all texts; at least 1.
        """
        wanted = np.eye(int(classes.max()) + 1, dtype=np.float32)[classes]
        common, most = _eigenvector(gram, np.ones(len(gram), dtype=np.float32))
        alternating = np.where(np.arange(len(gram)) % 2, np.float32(1.0), np.float32(-1.0))
        _, others = _eigenvector(gram, alternating, without=common)
        # What all texts have in common says nothing about classes, but would keep all steps short: along it alone they
        # are shorter. Half the greatest eigenvalue of the rest bounds the curvature of the loss there.
        bound = min(others * _MARGIN * weights.max(), most)
        shorter = np.float32(1.0) - bound / most
        step = np.float32(1.0) / (bound / np.float32(2.0) + _DECAY)
        coefficients: FloatArray = np.zeros_like(wanted)
        ahead = coefficients
        for iteration in range(iterations):
            change = softmax(gram @ ahead) - wanted
            change *= weights[:, np.newaxis]
            change += ahead * _DECAY
            change -= shorter * common[:, np.newaxis] * (common @ change)
            change *= -step
            following = ahead + change
            ahead = following - coefficients
            ahead *= iteration / (iteration + 3)
            ahead += following
            coefficients = following
        self._coefficients = coefficients

    def logits(self, similarities: FloatArray) -> FloatArray:
        """Map similarities, shape (rows, texts), to logits, shape (rows, classes)."""
        return similarities @ self._coefficients


class Partial:
    """A head that knows only some of the texts.

    Args:
        head: Trained on those.
        known: Their indices among all, ascending.
    """

    def __init__(self, head: Head, known: IntArray) -> None:
        self._head = head
        self._known = known

    def logits(self, similarities: FloatArray) -> FloatArray:
        """Map similarities with all texts, shape (rows, texts), to logits, shape (rows, classes)."""
        return self._head.logits(similarities[:, self._known])


class Prototypes:
    """The mean similarity with the texts of a class, scaled; takes no training."""

    def __init__(self, classes: IntArray) -> None:
        """Remember where classes start.

        Args:
            classes: The class of each text, ascending from 0 without a gap, shape (texts,).
        """
        counts = np.bincount(classes)
        self._starts = np.cumsum(counts) - counts
        # The more classes share the rest of the probability, the steeper the best must rise above them.
        self._factors = (10.0 * np.log(1 + len(counts)) / counts).astype(np.float32)

    def logits(self, similarities: FloatArray) -> FloatArray:
        """Map similarities, shape (rows, texts), to logits, shape (rows, classes)."""
        logits: FloatArray = np.add.reduceat(similarities, self._starts, axis=1)
        logits *= self._factors
        return logits


def affordable_iterations(texts: int, classes: int) -> int:
    """Return how long a regression may be trained; 0: not at all, take `Prototypes`."""
    least, most = _ITERATIONS
    iterations = min(most, int(_WORK / (texts * texts * classes)))
    return iterations if texts <= EXACT_TEXTS and iterations >= least else 0


def softmax(logits: FloatArray) -> FloatArray:
    """Make probabilities of logits, row by row; a logit of -inf gives 0.

    Args:
        logits: Shape (rows, classes); at least one finite number a row.
    """
    exponentials: FloatArray = np.exp(logits - logits.max(axis=1, keepdims=True))
    exponentials /= exponentials.sum(axis=1, keepdims=True)
    return exponentials


def _eigenvector(
    gram: FloatArray, start: FloatArray, without: FloatArray | None = None
) -> tuple[FloatArray, np.float32]:
    """Estimate the eigenvector with the greatest eigenvalue, and that, by power iteration.

    Args:
        gram: Symmetric, shape (texts, texts).
        start: Shape (texts,).
        without: Another eigenvector, of length 1: the result is orthogonal to it.
    """
    vector, length = start, np.float32(1.0)
    for _ in range(20):
        if without is not None:
            vector = vector - without * (without @ vector)
        vector = gram @ vector
        length = np.sqrt(vector @ vector) or np.float32(1.0)
        vector /= length
    return vector, length
