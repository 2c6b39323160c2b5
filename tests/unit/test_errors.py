"""The tree of errors: drawn as it is, each with a code and a disposition."""

import inspect
import re
from collections.abc import Iterator

import pytest

from baton import errors
from baton.errors import BatonError


def tree(parent: type[BatonError], depth: int = 0) -> Iterator[tuple[int, str]]:
    yield depth, parent.__name__
    for child in parent.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child, depth + 1)


def drawn() -> Iterator[tuple[int, str]]:
    for line in (inspect.getdoc(errors) or "").splitlines():
        if found := re.match(r"((?:│   |    )*(?:├── |└── )?)(\w+Error)\b", line):
            yield len(found[1]) // 4, found[2]


def test_the_drawn_tree_is_the_tree() -> None:
    assert sorted(drawn()) == sorted(tree(BatonError))


def classes() -> list[type[BatonError]]:
    names = [name for _, name in tree(BatonError)]
    return [getattr(errors, name) for name in names]


def test_every_error_has_a_code_of_its_own_and_a_known_disposition() -> None:
    leaves = [cls for cls in classes() if not cls.__subclasses__() and cls is not errors.IdempotencyConflictError]
    codes = [cls.code for cls in leaves if cls is not errors.NotWaitingError]
    assert len(set(codes)) == len(codes)
    assert {cls.disposition for cls in classes()} == {"retry", "fail", "fallback"}


@pytest.mark.parametrize(
    ("cls", "disposition"),
    [
        (errors.TransientError, "retry"),
        (errors.PermanentError, "fail"),
        (errors.TurnTimeoutError, "retry"),
        (errors.HandoffRefusedError, "fallback"),
        (errors.OutcomeError, "fail"),
        (errors.StepKeyReusedError, "fail"),
        (errors.StepResultError, "fail"),
        (errors.FactsError, "fail"),
        (errors.JournalUnavailableError, "retry"),
        (errors.BrokerUnavailableError, "retry"),
        (errors.RequestError, "fail"),
    ],
)
def test_what_follows_an_error_is_written_on_its_class(cls: type[BatonError], disposition: str) -> None:
    assert cls.disposition == disposition


def test_a_config_error_tells_its_problems_line_by_line() -> None:
    assert str(errors.ConfigError(["a", "b"])) == "a\nb"
    assert errors.TargetError("one").problems == ["one"]


def test_a_rejected_request_says_its_code_and_field() -> None:
    error = errors.RequestError("told", code="unknown_field", field="txt")
    assert (str(error), error.code, error.field) == ("told", "unknown_field", "txt")
    assert errors.RequestError.code == "bad_request"


def test_errors_name_what_was_seen() -> None:
    conflict = errors.IdempotencyConflictError("k1")
    assert (conflict.code, conflict.field) == ("idempotency_conflict", "idempotency_key")
    assert "'k1'" in str(conflict)
    late = errors.NotWaitingError("w1", "answered by ann: approve")
    assert (late.code, late.outcome) == ("not_waiting", "answered by ann: approve")
    assert "answered by ann" in str(late)
    version = errors.EnvelopeVersionError("2.0", "1.x")
    assert (version.found, version.supported) == ("2.0", "1.x")
    assert "'2.0'" in str(version)
    refused = errors.HandoffRefusedError("no", target="x", allowed=["y"])
    assert (refused.target, refused.allowed) == ("x", ["y"])
    assert "'x'" in str(errors.UnroutableError("x"))
    timeout = errors.ResultTimeoutError("run1", 2.5)
    assert (timeout.run_id, timeout.timeout_s) == ("run1", 2.5)
    assert "2.5 s" in str(timeout)


def test_a_busy_journal_names_the_process_that_serves_it_if_it_is_known() -> None:
    assert "process 42 already serves the journal 'j.db'" in str(errors.JournalBusyError("j.db", 42))
    assert "another process already serves" in str(errors.JournalBusyError("j.db", None))
