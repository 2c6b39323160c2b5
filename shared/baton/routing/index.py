"""How alike a text is to each of a fixed set of texts: cosines of their n-gram vectors.

In: texts, once; then queries. Out: one cosine per text, for `softmax` and for the nearest example.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from baton.routing.features import FloatArray, hashed_counts


class TextIndex:
    """An inverted index over the n-grams of `texts`, weighted by how rare they are among these.

    Its memory is about 12 bytes per distinct n-gram of each text: 3 KB for a text of 60 characters.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        rows = [hashed_counts(text) for text in texts]
        self._size = len(texts)
        hashes = np.concatenate([row[0] for row in rows])
        weights = np.concatenate([row[1] for row in rows])
        owners = np.repeat(np.arange(self._size, dtype=np.int32), [len(row[0]) for row in rows])
        self._vocabulary, column, counts = np.unique(hashes, return_inverse=True, return_counts=True)
        self._rarity = (np.log((1 + self._size) / (1 + counts)) + 1).astype(np.float32)
        # What no card mentions still lengthens a query's vector: it is evidence against every card.
        self._unseen = np.float32(np.log(1 + self._size) + 1)
        weights *= self._rarity[column]
        squares = np.bincount(owners, weights=weights * weights, minlength=self._size)
        order = np.argsort(column, kind="stable")
        self._owners = owners[order]
        self._weights = (weights / np.sqrt(squares)[owners]).astype(np.float32)[order]
        self._starts = np.concatenate(([0], np.cumsum(counts)))

    def similarities(self, text: str) -> FloatArray:
        """Compare `text` with every text of the index.

        Returns:
            Cosines, 0 to 1, shape (texts,); all 0 where nothing is shared.
        """
        hashes, weights = hashed_counts(text)
        if not len(hashes) or not len(self._vocabulary):
            return np.zeros(self._size, dtype=np.float32)
        column = np.minimum(np.searchsorted(self._vocabulary, hashes), len(self._vocabulary) - 1)
        known = self._vocabulary[column] == hashes
        weights = weights * np.where(known, self._rarity[column], self._unseen)
        weights /= np.sqrt(weights @ weights)
        return self._matched(column[known], weights[known])

    def _matched(self, columns: npt.NDArray[np.intp], weights: FloatArray) -> FloatArray:
        """Add up, per text, the products over the n-grams it shares with the query."""
        starts = self._starts[columns]
        lengths = self._starts[columns + 1] - starts
        ends = np.cumsum(lengths)
        # Entry j of the concatenated postings lies j - (end of the postings before) after its start.
        places = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + lengths, lengths)
        products = self._weights[places] * np.repeat(weights, lengths)
        sums = np.bincount(self._owners[places], weights=products, minlength=self._size)
        return np.minimum(sums, 1.0).astype(np.float32)
