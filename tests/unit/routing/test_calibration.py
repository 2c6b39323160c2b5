from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.card import Card, SkillCard
from baton.routing import calibration
from baton.routing.calibration import (
    DEFAULT_THRESHOLD,
    FOREIGN_SHARE,
    LEAST_THRESHOLD,
    Calibration,
    best_threshold,
    calibrated,
    fitted,
    traffic_threshold,
)
from baton.routing.model import OfflineModel
from baton.routing.training_set import collect

SHARES = st.floats(0.0, 1.0, width=32)
CONFIDENCES = st.lists(st.floats(0.0, 1.0, width=32), min_size=1, max_size=60)


def threshold(own: list[float], foreign: list[float], reject_share: float) -> float:
    right = np.ones(len(own), dtype=np.bool_)
    kinds = [np.array(foreign, dtype=np.float32)]
    return best_threshold(np.array(own, dtype=np.float32), right, kinds, reject_share=reject_share)


def test_it_lies_above_foreign_texts_where_that_costs_nothing() -> None:
    found = threshold([0.4 + n / 100 for n in range(20)], [0.1, 0.2, 0.3], 0.1)
    assert found == pytest.approx(0.4)


def test_it_rejects_no_more_of_its_own_than_the_share_allows() -> None:
    own = [n / 20 for n in range(1, 21)]
    assert threshold(own, [0.08] * 100, 0.1) == pytest.approx(0.1)
    assert threshold(own, [0.32] * 100, 0.1) == LEAST_THRESHOLD
    assert threshold(own, [0.32] * 100, 0.5) == pytest.approx(0.35)
    assert threshold(own, [0.99] * 100, 0.5) == LEAST_THRESHOLD


def test_wrongly_placed_texts_are_no_loss() -> None:
    own = np.array([0.2, 0.3, 0.4, 0.5], dtype=np.float32)
    right = np.ones(4, dtype=np.bool_)
    foreign = [np.array([0.25, 0.01, 0.01, 0.01, 0.01], dtype=np.float32)]
    assert best_threshold(own, right, foreign, reject_share=1.0) == LEAST_THRESHOLD
    right[0] = False
    assert best_threshold(own, right, foreign, reject_share=1.0) == pytest.approx(0.3)


def test_kinds_of_foreign_texts_weigh_the_same_whatever_their_number() -> None:
    own = np.array([0.1] * 4 + [0.5] * 6, dtype=np.float32)
    right = np.ones(10, dtype=np.bool_)
    low, high = np.full(1_000, 0.05, dtype=np.float32), np.full(1, 0.3, dtype=np.float32)
    assert best_threshold(own, right, [low, high], reject_share=0.6) == pytest.approx(0.5)


def test_few_texts_say_nothing_about_a_small_share() -> None:
    assert threshold([0.9] * 8, [0.1], 0.1) == DEFAULT_THRESHOLD
    assert threshold([0.9] * 9, [0.1], 0.1) == pytest.approx(0.9)


def test_without_a_share_only_what_resembles_nothing_is_rejected() -> None:
    assert threshold([0.9] * 50, [0.8] * 50, 0.0) == LEAST_THRESHOLD


@given(own=CONFIDENCES, foreign=CONFIDENCES, share=SHARES)
def test_the_share_bounds_what_is_rejected(own: list[float], foreign: list[float], share: float) -> None:
    found = threshold(own, foreign, share)
    confidences = np.array(own, dtype=np.float32)
    assert LEAST_THRESHOLD <= found <= 1.0
    if found not in (DEFAULT_THRESHOLD, LEAST_THRESHOLD):
        assert np.sum(confidences < found) <= share * (len(own) + 1)


def test_the_threshold_of_a_desk_separates_its_own_requests_from_foreign_ones(
    desk: tuple[Card, ...],
) -> None:
    model = OfflineModel(collect(desk))
    found = calibrated(model, reject_share=0.1).threshold
    assert model.scores(["the kitchen tap leaks"]).confidences()[0] > found
    assert model.scores(["who won the football match"]).confidences()[0] < found


@pytest.mark.parametrize(("agents", "kinds"), [(1, 1), (3, 2)])
def test_background_and_the_examples_of_agents_that_are_left_out_play_foreign(
    monkeypatch: pytest.MonkeyPatch, desk: tuple[Card, ...], agents: int, kinds: int
) -> None:
    seen: list[Sequence[np.ndarray]] = []

    def spy(own: np.ndarray, right: np.ndarray, foreign: Sequence[np.ndarray], **share: float) -> float:
        seen.append(foreign)
        return best_threshold(own, right, foreign, **share)

    monkeypatch.setattr(calibration, "best_threshold", spy)
    calibrated(OfflineModel(collect(desk[:agents])), reject_share=0.1)
    assert len(seen[0]) == kinds
    assert all(float(np.median(kind)) < 0.1 for kind in seen[0])


def test_more_may_be_rejected_and_the_threshold_rises(desk: tuple[Card, ...]) -> None:
    model = OfflineModel(collect(desk))
    low, high = (calibrated(model, reject_share=share).threshold for share in (0.1, 0.9))
    assert low < high


def test_cards_without_examples_get_the_default() -> None:
    skills = (SkillCard(name="ask"), SkillCard(name="answer"))
    cards = [Card(name=name, description=name, skills=skills) for name in ("a", "b")]
    assert calibrated(OfflineModel(collect(cards)), reject_share=0.1).threshold == DEFAULT_THRESHOLD


def test_a_probability_is_the_share_that_is_right() -> None:
    own = np.linspace(0.05, 0.9, 400).astype(np.float32)
    chance = np.random.default_rng(1).random(400)
    right = chance < own**0.5
    slope, offset = fitted(own, right, np.full(50, 0.02, dtype=np.float32))
    found = Calibration(slope, offset, 0.1).probability(own)
    for low, high in ((0, 130), (130, 260), (260, 400)):
        assert float(found[low:high].mean()) == pytest.approx(float(right[low:high].mean()), abs=0.07)


@given(own=CONFIDENCES, foreign=CONFIDENCES, rights=st.lists(st.booleans(), min_size=60, max_size=60))
def test_probabilities_keep_the_order(own: list[float], foreign: list[float], rights: list[bool]) -> None:
    slope, offset = fitted(np.array(own, np.float32), np.array(rights[: len(own)]), np.array(foreign, np.float32))
    found = Calibration(slope, offset, 0.1).probability(np.linspace(0.0, 1.0, 50))
    assert np.all(np.diff(found) >= 0.0)
    assert 0.0 <= found[0] <= found[-1] <= 1.0


def test_the_threshold_of_traffic_separates_its_rows_and_says_so_in_six_digits() -> None:
    own = [(0.123457 + n / 100, True) for n in range(30)]
    assert traffic_threshold(own, [[0.05] * 10], reject_share=0.1) == 0.123457
    assert traffic_threshold(own, [[0.13] * 10], reject_share=0.1) == 0.133457
    assert traffic_threshold(own, [[0.05] * 19 + [0.14]], reject_share=0.1) == 0.123457
    wrong = [(confidence, confidence > 0.14) for confidence, _ in own]
    assert traffic_threshold(wrong, [[0.05] * 19 + [0.14]], reject_share=0.1) == 0.143457


def test_the_threshold_of_traffic_rejects_no_more_of_its_own_than_it_may() -> None:
    own = [(0.1 + n / 100, True) for n in range(30)]
    assert traffic_threshold(own, [[0.119] * 10], reject_share=0.1) == 0.12
    assert traffic_threshold(own, [[0.125] * 10], reject_share=0.1) == LEAST_THRESHOLD


@given(
    own=st.lists(st.tuples(st.floats(1e-4, 1.0), st.booleans()), min_size=5, max_size=60),
    foreign=st.lists(st.floats(1e-5, 1.0), min_size=1, max_size=30),
)
def test_a_probability_is_right_in_the_mean_wherever_the_slope_ends(
    own: list[tuple[float, bool]], foreign: list[float]
) -> None:
    confidences = np.array([confidence for confidence, _ in own], dtype=np.float32)
    right, others = np.array([is_right for _, is_right in own]), np.array(foreign, dtype=np.float32)
    slope, offset = fitted(confidences, right, others)
    calibration = Calibration(slope, offset, 0.1)
    told, strange = calibration.probability(confidences).sum(), calibration.probability(others).mean()
    count = len(own) * (1 + FOREIGN_SHARE)
    assert abs(told + strange * len(own) * FOREIGN_SHARE - right.sum()) / count < 0.2


def test_a_choice_that_is_right_at_any_confidence_is_not_called_improbable() -> None:
    """As with 150 agents of 40 examples: the slope ends at its bound, and the offset has to go on alone."""
    own, foreign = np.geomspace(0.002, 0.93, 400).astype(np.float32), np.full(200, 0.02, dtype=np.float32)
    slope, offset = fitted(own, np.arange(400) % 20 > 0, foreign)
    assert Calibration(slope, offset, 0.1).probability(own).mean() > 0.8
