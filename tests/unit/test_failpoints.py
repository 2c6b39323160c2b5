"""Fail points kill at the passing that was asked for, in tests and nowhere else."""

import os
import signal
from collections.abc import Iterator

import pytest

from baton import failpoints
from baton.errors import ConfigError


@pytest.fixture
def kills(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, int]]]:
    """Collect the signals that would be sent, and disarm in the end."""
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    yield sent
    failpoints.arm({})


def test_an_armed_point_kills_this_process_as_a_power_cut_would(kills: list[tuple[int, int]]) -> None:
    failpoints.arm({"BATON_TESTING": "1", "BATON_FAIL_AT": "hop.claimed"})
    failpoints.hit("hop.delivered")
    assert kills == []
    failpoints.hit("hop.claimed")
    assert kills == [(os.getpid(), signal.SIGKILL)]


def test_a_point_with_a_number_kills_at_that_passing(kills: list[tuple[int, int]]) -> None:
    failpoints.arm({"BATON_TESTING": "1", "BATON_FAIL_AT": "step.done:3"})
    for _ in range(2):
        failpoints.hit("step.done")
        failpoints.hit("step.recorded")
    assert kills == []
    failpoints.hit("step.done")
    assert len(kills) == 1


@pytest.mark.parametrize("testing", ["", "0", "yes", "true"])
def test_points_are_ignored_outside_of_tests(testing: str, kills: list[tuple[int, int]]) -> None:
    failpoints.arm({"BATON_TESTING": testing, "BATON_FAIL_AT": "hop.claimed"})
    failpoints.hit("hop.claimed")
    assert kills == []


def test_arming_without_a_point_disarms(kills: list[tuple[int, int]]) -> None:
    failpoints.arm({"BATON_TESTING": "1", "BATON_FAIL_AT": "hop.claimed"})
    failpoints.arm({"BATON_TESTING": "1"})
    failpoints.hit("hop.claimed")
    assert kills == []


@pytest.mark.parametrize("point", ["hop.claim", "HOP.CLAIMED", ":2", " "])
def test_an_unknown_point_is_refused_and_the_known_ones_are_named(point: str) -> None:
    with pytest.raises(ConfigError) as raised:
        failpoints.arm({"BATON_TESTING": "1", "BATON_FAIL_AT": point})
    assert all(known in str(raised.value) for known in failpoints.POINTS)


@pytest.mark.parametrize("count", ["", "0", "-1", "two", "1.5", "²"])
def test_a_passing_that_is_no_number_is_refused(count: str) -> None:
    with pytest.raises(ConfigError, match="1 or more"):
        failpoints.arm({"BATON_TESTING": "1", "BATON_FAIL_AT": f"hop.claimed:{count}"})


def test_points_have_names_of_their_own() -> None:
    assert len(set(failpoints.POINTS)) == len(failpoints.POINTS)
