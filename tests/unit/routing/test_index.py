import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.routing.index import TextIndex

TEXTS = ("my card was stolen", "i lost my card", "the boiler is cold", "")


@pytest.fixture(scope="module")
def index() -> TextIndex:
    return TextIndex(TEXTS)


def test_a_text_is_most_like_itself(index: TextIndex) -> None:
    for place, text in enumerate(TEXTS[:3]):
        similarities = index.similarities(text)
        assert similarities[place] == pytest.approx(1.0, abs=1e-5)
        assert similarities.argmax() == place


def test_similarity_is_symmetric_and_ranks_by_what_is_shared(index: TextIndex) -> None:
    gram = np.stack([index.similarities(text) for text in TEXTS])
    assert np.allclose(gram, gram.T, atol=1e-6)
    assert gram[0, 1] > gram[0, 2] >= 0.0
    assert not gram[3].any()


def test_rare_n_grams_count_for_more() -> None:
    index = TextIndex(["card red", "card blue", "card green"])
    by_rare, by_common = index.similarities("red"), index.similarities("card")
    assert by_rare[0] > by_common[0] > 0.0


def test_words_that_no_text_has_lower_every_similarity(index: TextIndex) -> None:
    known, diluted = index.similarities("lost card"), index.similarities("lost card zeppelin xylophone")
    assert 0.0 < diluted[1] < known[1]


def test_an_index_without_a_word_finds_nothing() -> None:
    assert not TextIndex(["", "?"]).similarities("card").any()


@given(st.text(max_size=80))
def test_similarities_are_cosines(text: str) -> None:
    similarities = TextIndex([*TEXTS, text]).similarities(text)
    assert similarities.shape == (len(TEXTS) + 1,)
    assert np.all((similarities >= 0.0) & (similarities <= 1.0))
