"""When a first attempt counts as missed by the broker."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.protocol.poll import IDLE_S, OVERDUE_S, OVERTAKEN_S, missed_before

NOW = 1_000.0


@pytest.mark.parametrize(
    ("free_since", "delivered_at", "latest", "expected"),
    [
        (None, None, None, None),
        (900.0, None, None, NOW - OVERDUE_S),
        (NOW - IDLE_S, None, None, NOW - OVERDUE_S),
        (NOW - IDLE_S + 0.1, None, None, None),
        (900.0, NOW - IDLE_S, None, NOW - OVERDUE_S),
        (900.0, NOW - IDLE_S + 0.1, None, None),
        (None, 900.0, 950.0, 950.0 - OVERTAKEN_S),
        (None, NOW, NOW, NOW - OVERTAKEN_S),
        (900.0, 900.0, 950.0, NOW - OVERDUE_S),
        (900.0, 900.0, NOW, NOW - OVERDUE_S),
        (NOW, 900.0, 950.0, 950.0 - OVERTAKEN_S),
    ],
)
def test_a_hop_counts_as_missed_on_an_idle_replica_or_when_the_queue_has_passed_it(
    free_since: float | None, delivered_at: float | None, latest: float | None, expected: float | None
) -> None:
    seen = missed_before(NOW, free_since=free_since, delivered_at=delivered_at, latest_pending_since=latest)
    assert seen == expected


def test_the_times_are_those_of_the_design() -> None:
    assert (IDLE_S, OVERDUE_S, OVERTAKEN_S) == (1.0, 2.0, 10.0)


times = st.none() | st.floats(0, NOW)


@given(times, times, times)
def test_a_hop_that_has_just_become_pending_never_counts_as_missed(
    free_since: float | None, delivered_at: float | None, latest: float | None
) -> None:
    seen = missed_before(NOW, free_since=free_since, delivered_at=delivered_at, latest_pending_since=latest)
    assert seen is None or seen <= NOW - OVERDUE_S


@given(times, times, st.floats(0, NOW))
def test_a_busy_replica_still_finds_what_its_queue_has_passed(
    free_since: float | None, delivered_at: float | None, latest: float
) -> None:
    seen = missed_before(NOW, free_since=free_since, delivered_at=delivered_at, latest_pending_since=latest)
    assert seen is not None
    assert seen >= latest - OVERTAKEN_S
