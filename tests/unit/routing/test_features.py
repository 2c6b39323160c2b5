import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.routing.features import MAX_CHARS, hashed_counts, normalise

FIRST_AND_LAST = [35184372102851, 16523422157518367057]


def shared(one: str, other: str) -> int:
    return len(np.intersect1d(hashed_counts(one)[0], hashed_counts(other)[0]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  Lost\tmy\nCARD!! ", "lost my card"),
        ("ｆｕｌｌｗｉｄｔｈ Straße", "fullwidth strasse"),
        ("snake_case, e-mail", "snake case e mail"),
        ("हिन्दी में", "हिन्दी में"),
        ("👩\u200d🚒 help", "👩\u200d🚒 help"),
        ("مرحبا، بطاقتي", "مرحبا بطاقتي"),
        ("カード、紛失", "カード 紛失"),
        ("?!… --", ""),
    ],
)
def test_spelling_is_levelled_and_no_script_loses_its_marks(text: str, expected: str) -> None:
    assert normalise(text) == expected


def test_known_n_grams_of_a_short_text_are_all_there() -> None:
    hashes, weights = hashed_counts("ab ab")
    # " a", "ab", "b ", " ab", "ab ", " ab ", the word, and its pair; all but the pair occur twice
    assert len(hashes) == 8
    assert sorted(weights.tolist()) == pytest.approx([1.0] + [1.0 + np.log(2)] * 7)


def test_hashes_are_the_same_in_every_process() -> None:
    hashes, _ = hashed_counts("my card")
    assert [int(hashes[0]), int(hashes[-1])] == FIRST_AND_LAST


def test_n_grams_do_not_cross_words() -> None:
    apart, left, right = (set(hashed_counts(text)[0].tolist()) for text in ("ab cd", "ab", "cd"))
    assert left | right < apart
    assert len(apart - left - right) == 1, "the pair of words"


def test_order_of_words_counts_in_pairs_only() -> None:
    same, _ = hashed_counts("lost my card")
    assert len(same) - shared("lost my card", "card my lost") == 2


@given(st.text(alphabet=st.characters(), max_size=300))
def test_any_text_has_sorted_hashes_and_weights_of_at_least_one(text: str) -> None:
    hashes, weights = hashed_counts(text)
    assert len(hashes) == len(weights)
    assert np.all(np.diff(hashes.astype(object)) > 0)
    assert np.all(weights >= 1.0)
    assert bool(len(hashes)) == bool(normalise(text))


@pytest.mark.parametrize("text", ["\ud800 lone surrogate", "\x00", "ﷺ" * MAX_CHARS, "a" * MAX_CHARS])
def test_odd_texts_are_taken(text: str) -> None:
    assert len(hashed_counts(text)[0])
    assert len(normalise(text)) <= MAX_CHARS


def test_what_comes_late_in_a_huge_text_is_not_read() -> None:
    start = "word " * (MAX_CHARS // 5)
    assert np.array_equal(hashed_counts(start + "tail " * 20_000)[0], hashed_counts(start)[0])
    assert normalise(" " * MAX_CHARS + "late") == ""
