"""What follows an error: another attempt, and when; the fallback; or the end."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton import errors
from baton.protocol.retry import RETRY_CAP_S, Fail, Fallback, Retry, after_error, backoff_s, exhausted, failure_of
from baton.request import Failure


@pytest.mark.parametrize(
    ("attempt", "chance", "expected"),
    [
        (1, 1.0, 2.0),
        (2, 1.0, 4.0),
        (3, 1.0, 8.0),
        (3, 0.25, 2.0),
        (8, 1.0, 256.0),
        (9, 1.0, 300.0),
        (5_000, 1.0, 300.0),
        (4, 0.0, 0.0),
    ],
)
def test_the_wait_doubles_with_each_attempt_up_to_five_minutes(attempt: int, chance: float, expected: float) -> None:
    assert backoff_s(attempt, base_s=2.0, chance=chance) == expected


@given(st.integers(1, 10_000), st.floats(0.001, 300), st.floats(0, 1))
def test_the_wait_is_a_random_part_of_a_bound_that_never_falls(attempt: int, base_s: float, chance: float) -> None:
    wait_s = backoff_s(attempt, base_s=base_s, chance=chance)
    assert 0 <= wait_s <= RETRY_CAP_S
    assert wait_s <= backoff_s(attempt + 1, base_s=base_s, chance=chance)
    assert wait_s == chance * backoff_s(attempt, base_s=base_s, chance=1.0)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("odd"),
        TimeoutError(),
        asyncio.CancelledError(),
        KeyError("k"),
        errors.TransientError("later"),
        errors.TurnTimeoutError("slow"),
        errors.JournalUnavailableError("disk full"),
        errors.BrokerUnavailableError("gone"),
    ],
)
def test_passing_trouble_is_retried_until_the_attempts_are_used(error: BaseException) -> None:
    again = after_error(error, "cards", 5, 6, 1.5)
    assert again == Retry(1.5, failure_of(error, "cards"))
    last = after_error(error, "cards", 6, 6, 1.5)
    assert isinstance(last, Fail)
    assert last.error.code == "max_attempts"
    assert last.error.details["last"]["code"] == failure_of(error, "cards").code
    assert isinstance(after_error(error, "cards", 1, 1, 1.5), Fail)


@pytest.mark.parametrize(
    "error",
    [
        errors.PermanentError("no"),
        errors.OutcomeError("None"),
        errors.FactsError("too large"),
        errors.StepKeyReusedError("k"),
        errors.StepResultError("object"),
        errors.RequestError("bad", code="invalid_text"),
        errors.TeamError("no handler"),
    ],
)
def test_what_another_attempt_cannot_mend_ends_the_run_at_once(error: errors.BatonError) -> None:
    assert after_error(error, "cards", 1, 6, 1.5) == Fail(failure_of(error, "cards"))


def test_a_refused_handoff_goes_to_the_fallback_whatever_the_attempt() -> None:
    error = errors.HandoffRefusedError("no", target="x", allowed=[])
    assert after_error(error, "cards", 6, 6, 1.5) == Fallback(failure_of(error, "cards"))


def test_a_failure_tells_code_type_and_message() -> None:
    assert failure_of(ValueError("odd"), "cards") == Failure(
        code="agent_error", message="ValueError: odd", agent="cards"
    )
    assert failure_of(KeyError(), "cards").message == "KeyError: no message"
    assert failure_of(errors.TransientError("later"), "cards") == Failure(
        code="transient", message="later", agent="cards"
    )
    assert failure_of(errors.PermanentError(), "cards").message == "no message"
    assert failure_of(errors.RequestError("bad", field="text"), "cards").details == {"field": "text"}


def test_a_failure_of_an_agent_is_cut_and_can_always_be_stored() -> None:
    for long in (ValueError("x" * 5_000), errors.PermanentError("x" * 5_000)):
        assert len(failure_of(long, "cards").message) == 2_000
    for error in (ValueError("a\ud800b"), errors.PermanentError("a\ud800b")):
        stored = failure_of(error, "cards").model_dump_json()
        assert Failure.model_validate_json(stored).message.endswith("a?b")


def test_an_error_that_cannot_even_be_shown_is_a_failure_like_others() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert failure_of(Broken(), "cards").message == "Broken: a message that cannot be shown"


def test_used_attempts_tell_the_last_failure_or_that_the_process_died() -> None:
    last = failure_of(ValueError("odd"), "cards")
    told = exhausted("cards", 6, last)
    assert (told.code, told.agent) == ("max_attempts", "cards")
    assert told.message == "agent 'cards' failed 6 of 6 attempts; last: ValueError: odd"
    assert told.details == {"attempts": 6, "last": last.model_dump()}
    died = exhausted("cards", 6, None)
    assert died.message.endswith("the process died in each of them")
    assert died.details == {"attempts": 6, "last": None}
