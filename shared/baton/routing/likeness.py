"""How alike texts are to those of a training set: by their words, and by their meaning where a model is at hand.

In: the texts of a `TrainingSet`, once; then queries. Out: `Likeness`, for `softmax` and for the nearest texts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from baton.routing.features import FloatArray
from baton.routing.index import TextIndex
from baton.routing.minilm import Encoder

Mask = npt.NDArray[np.bool_]

_WORDS_SHARE = np.float32(0.2)
"""What words count beside meaning; see docs/routing.md for what other shares give."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """Of some texts, one row each, to those of a set, one column each."""

    words: FloatArray
    """Cosines of their n-grams, 0 to 1, shape (rows, texts)."""
    meaning: FloatArray
    """Cosines of their vectors, -1 to 1, shape (rows, texts); 0 where one of the two has no vector."""
    words_share: FloatArray
    """What words count beside meaning, 0 to 1, shape (rows, texts); 1 where neither has a vector."""

    def both(self) -> FloatArray:
        """Return what classes are learnt from: the inner products of words and meaning taken together."""
        mixed: FloatArray = self.meaning * (1 - _WORDS_SHARE) + self.words * self.words_share
        return mixed

    def nearness(self) -> FloatArray:
        """Return what tells whether something of the kind has been seen, 0 to 1."""
        have_meaning = self.words_share < 1.5 * _WORDS_SHARE  # both texts; where one lacks it, words have to do
        return np.where(have_meaning, np.clip(self.meaning, 0.0, 1.0), self.words)

    def forgetting(self, gone: Mask) -> "Likeness":
        """Return the same with some texts of the set, where `gone` is true, as unlike as can be.

        Args:
            gone: Shape (texts,), or (rows, texts).
        """
        if not gone.any():
            return self
        return Likeness(np.where(gone, 0, self.words), np.where(gone, 0, self.meaning), self.words_share)


class Comparer:
    """Compares texts with a fixed set of them.

    Args:
        texts: The set, normalised.
        encoder: Gives meaning; None: words alone.
        known: Vectors of texts that were encoded before, by text; the rest is encoded now.
    """

    def __init__(self, texts: Sequence[str], encoder: Encoder | None, known: Mapping[str, FloatArray]) -> None:
        self._index = TextIndex(texts)
        self._encoder = encoder
        if encoder is None:
            self.vectors = np.zeros((len(texts), 1), dtype=np.float32)
        else:
            self.vectors = np.stack([known[text] if text in known else encoder.encode([text])[0] for text in texts])
        self._scale = _words_scale(self.vectors)

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Return the vectors of normalised texts, shape (texts, dimensions)."""
        if self._encoder is None:
            return np.zeros((len(texts), 1), dtype=np.float32)
        return self._encoder.encode(texts)

    def compare(self, texts: Sequence[str], vectors: FloatArray) -> Likeness:
        """Compare each of `texts` with every text of the set.

        Args:
            texts: At least one, normalised.
            vectors: Theirs, shape (texts, dimensions).
        """
        words = np.stack([self._index.similarities(text) for text in texts])
        share = _words_scale(vectors)[:, np.newaxis] * self._scale
        return Likeness(words, vectors @ self.vectors.T, share)


def _words_scale(vectors: FloatArray) -> FloatArray:
    """Return the length of each text's words beside its meaning: all of it where there is no vector."""
    scale: FloatArray = np.where(vectors.any(axis=1), np.sqrt(_WORDS_SHARE), np.float32(1.0))
    return scale
