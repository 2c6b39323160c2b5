"""Texts as sparse vectors: hashed word 1-2 grams and character 2-5 grams.

In: any text. Out: sorted 64-bit hashes with a weight each; `index` learns the weights of a set of
texts from them. The same in every process and on every platform.
"""

import re
import unicodedata

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
FloatArray = npt.NDArray[np.float32]

MAX_CHARS = 2_000
"""What is read of a text; what somebody wants stands at the start, and the work stays bounded."""

_LONGEST_GRAM = 5
_WORD_SALT = np.uint64(0x9E3779B97F4A7C15)
_PAIR_SALT = np.uint64(0xC2B2AE3D27D4EB4F)
_BASE = np.uint64(0x100000001B3)  # odd, so that no character of a long word is shifted out
_POWERS = np.cumprod(np.full(MAX_CHARS + 1, _BASE), dtype=np.uint64)
_SPACE = np.uint64(ord(" "))

# What separates words is listed, not what words are made of: combining marks, joiners and emoji stay
# where they are, which `\w` would lose.
_SEPARATORS = re.compile(
    r"[\s!-/:-@\[-`{-~\u00a1\u00ab\u00b7\u00bb\u00bf\u060c\u061b\u061f\u06d4\u0964\u0965"
    r"\u2010-\u205e\u3000-\u303f]+"
)


def normalise(text: str) -> str:
    """Return the words of `text` in one spelling, separated by single spaces.

    Args:
        text: Anything; what comes after `MAX_CHARS` characters is not read.

    Returns:
        NFKC, case folded, at most `MAX_CHARS` characters (NFKC can make a text longer); maybe empty.

    Source:
        Unicode standard annex 15 (NFKC); section 3.13 of the Unicode standard (case folding).
    """
    folded = unicodedata.normalize("NFKC", text[:MAX_CHARS]).casefold()
    return _SEPARATORS.sub(" ", folded)[:MAX_CHARS].strip()


def hashed_counts(text: str) -> tuple[Hashes, FloatArray]:
    """Hash every n-gram of `text`.

    Returns:
        Hashes, sorted and distinct, shape (k,), and as many weights 1 + ln(count), at least 1.
        k is 0 where the text has no word.
    """
    words = normalise(text)
    if not words:
        return np.empty(0, np.uint64), np.empty(0, np.float32)
    padded = f" {words} ".encode("utf-32-le", errors="surrogatepass")
    points = np.frombuffer(padded, dtype="<u4").astype(np.uint64)
    hashes = np.concatenate((*_char_grams(points), *_word_grams(points)))
    distinct, counts = np.unique(hashes, return_counts=True)
    return distinct, (1.0 + np.log(counts)).astype(np.float32)


def _char_grams(points: Hashes) -> list[Hashes]:
    """Hash the n-grams that lie inside one word and the spaces around it."""
    spaces = np.cumsum(points == _SPACE)
    hashes, grams = points, []
    for size in range(2, min(_LONGEST_GRAM, len(points)) + 1):
        hashes = hashes[:-1] * _BASE + points[size - 1 :]
        # No space between the first and the last character: as many spaces before either.
        grams.append(hashes[spaces[size - 2 : -1] == spaces[: len(hashes)]])
    return grams


def _word_grams(points: Hashes) -> tuple[Hashes, Hashes]:
    """Hash the words, and the pairs of neighbours."""
    starts = np.flatnonzero(points == _SPACE)
    place = np.arange(starts[-1]) - np.repeat(starts[:-1], np.diff(starts))
    words = np.add.reduceat(points[:-1] * _POWERS[place], starts[:-1])
    return words ^ _WORD_SALT, (words[:-1] * _BASE + words[1:]) ^ _PAIR_SALT
