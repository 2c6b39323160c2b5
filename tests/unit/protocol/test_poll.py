"""When a first attempt counts as missed by the broker."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.protocol.poll import IDLE_S, OVERDUE_S, OVERTAKEN_S, Missed, missed


@pytest.mark.parametrize(
    ("quiet_s", "latest", "expected"),
    [
        (None, None, Missed(None, None)),
        (100.0, None, Missed(OVERDUE_S, None)),
        (IDLE_S, None, Missed(OVERDUE_S, None)),
        (IDLE_S - 0.1, None, Missed(None, None)),
        (None, 950.0, Missed(None, 950.0 - OVERTAKEN_S)),
        (100.0, 950.0, Missed(OVERDUE_S, 950.0 - OVERTAKEN_S)),
        (0.0, 950.0, Missed(None, 950.0 - OVERTAKEN_S)),
    ],
)
def test_a_hop_counts_as_missed_on_an_idle_replica_or_when_the_queue_has_passed_it(
    quiet_s: float | None, latest: float | None, expected: Missed
) -> None:
    assert missed(quiet_s, latest) == expected


def test_the_times_are_those_of_the_design() -> None:
    assert (IDLE_S, OVERDUE_S, OVERTAKEN_S) == (1.0, 2.0, 10.0)


@given(st.none() | st.floats(0, 1e9), st.none() | st.floats(0, 1e9))
def test_a_hop_that_has_just_become_pending_never_counts_as_missed(quiet_s: float | None, latest: float | None) -> None:
    seen = missed(quiet_s, latest)
    assert seen.overdue_s in (None, OVERDUE_S)
    assert seen.before is None or (latest is not None and seen.before < latest)


@given(st.none() | st.floats(0, 1e9), st.floats(0, 1e9))
def test_a_busy_replica_still_finds_what_its_queue_has_passed(quiet_s: float | None, latest: float) -> None:
    assert missed(quiet_s, latest).before == latest - OVERTAKEN_S
