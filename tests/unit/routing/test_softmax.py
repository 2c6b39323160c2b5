import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from baton.routing import softmax as module
from baton.routing.softmax import EXACT_TEXTS, Partial, Prototypes, Regression, affordable_iterations, softmax

LOGITS = arrays.arrays(np.float32, (3, 4), elements=st.floats(-1e4, 1e4, width=32))


@given(LOGITS)
def test_probabilities_sum_to_one(logits: np.ndarray) -> None:
    probabilities = softmax(logits)
    assert np.all(probabilities >= 0.0)
    assert np.allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)


def test_a_class_that_is_left_out_has_probability_zero() -> None:
    probabilities = softmax(np.array([[0.0, -np.inf, 0.0]], dtype=np.float32))
    assert probabilities.tolist() == [[0.5, 0.0, 0.5]]


def blocks() -> tuple[np.ndarray, np.ndarray]:
    """Two classes of three texts: alike by 0.5 within a class, by 0.2 across, as unit vectors are."""
    classes = np.array([0, 0, 0, 1, 1, 1])
    gram = np.where(classes[:, np.newaxis] == classes, 0.5, 0.2) + 0.5 * np.eye(6)
    return gram.astype(np.float32), classes


def trained(iterations: int, weights: np.ndarray | None = None) -> np.ndarray:
    gram, classes = blocks()
    counts = np.ones(6, dtype=np.float32) if weights is None else weights
    return softmax(Regression(gram, classes, weights=counts, iterations=iterations).logits(gram))


def test_regression_learns_its_texts_and_longer_training_learns_them_better() -> None:
    _, classes = blocks()
    short, long = (trained(n)[np.arange(6), classes].min() for n in (2, 80))
    assert 0.5 < short < long
    assert long > 0.9


def test_regression_reaches_the_minimum_of_its_loss() -> None:
    gram, classes = blocks()
    fitted = Regression(gram, classes, weights=np.ones(6, dtype=np.float32), iterations=2_000)
    residual = np.eye(2)[classes] - softmax(fitted.logits(gram))
    coefficients = fitted._coefficients
    assert np.allclose(coefficients * 0.01, residual, atol=1e-3)


def test_texts_of_little_weight_yield() -> None:
    light = np.array([1, 1, 1, 0.1, 0.1, 0.1], dtype=np.float32)
    assert trained(80, light)[3:, 1].mean() < trained(80)[3:, 1].mean() - 0.05


def test_a_partial_head_is_one_of_those_texts_alone() -> None:
    gram, classes = blocks()
    known = np.array([0, 1, 3, 4])
    among = gram[np.ix_(known, known)]
    head = Regression(among, classes[known], weights=np.ones(4, dtype=np.float32), iterations=50)
    assert np.array_equal(Partial(head, known).logits(gram), head.logits(gram[:, known]))


def test_prototypes_prefer_the_class_of_greatest_mean_similarity() -> None:
    heads = Prototypes(np.array([0, 0, 0, 1]))
    logits = heads.logits(np.array([[0.5, 0.5, 0.5, 0.4], [0.9, 0.0, 0.0, 0.4]], dtype=np.float32))
    assert logits.argmax(axis=1).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("texts", "classes", "trains"),
    [(850, 78, True), (1_760, 161, True), (EXACT_TEXTS + 1, 2, False), (EXACT_TEXTS, 4_000, False)],
)
def test_training_is_bounded(texts: int, classes: int, trains: bool) -> None:
    iterations = affordable_iterations(texts, classes)
    assert bool(iterations) == trains
    assert texts * texts * classes * iterations <= module._WORK
