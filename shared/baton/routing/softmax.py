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
_ITERATIONS = (30, 100)  # fewer are worse than prototypes; more change nothing
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
            weights: What each text counts, 0 to 1, shape (texts,).
            iterations: Passes over all texts; at least 1.
        """
        wanted = np.eye(int(classes.max()) + 1, dtype=np.float32)[classes]
        # Half the greatest eigenvalue bounds the curvature of the loss, so no step is too long.
        step = np.float32(1.0) / (_greatest_eigenvalue(gram) / np.float32(2.0) + _DECAY)
        coefficients: FloatArray = np.zeros_like(wanted)
        ahead = coefficients
        for iteration in range(iterations):
            change = softmax(gram @ ahead) - wanted
            change *= weights[:, np.newaxis]
            change += ahead * _DECAY
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


def _greatest_eigenvalue(gram: FloatArray) -> np.float32:
    """Estimate it by power iteration; exact enough as `gram` has no negative entry."""
    vector = np.ones(len(gram), dtype=np.float32)
    length = np.float32(1.0)
    for _ in range(20):
        vector = gram @ vector
        length = np.sqrt(vector @ vector) or np.float32(1.0)
        vector /= length
    return length
