"""The language-neutral edge: what a request may hold, and what a refusal tells."""

from typing import Any

import pytest
from pydantic import ValidationError

from baton.errors import RequestError
from baton.request import BODY_LIMIT_BYTES, Failure, Request, Result, read


def test_a_request_may_hold_every_field() -> None:
    fields = {
        "text": "my card",
        "conversation_id": "c1",
        "facts": {"customer": 7},
        "to": "cards",
        "deadline_s": 60,
        "max_hops": 3,
    }
    request = Request.of(fields)
    assert request.model_dump() == {**fields, "deadline_s": 60.0}


def test_a_text_alone_is_a_request() -> None:
    request = Request.of({"text": "hi"})
    assert request.model_dump(exclude_none=True) == {"text": "hi", "facts": {}}


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ("text", "bad_request", None),
        (None, "bad_request", None),
        ([{"text": "x"}], "bad_request", None),
        ({}, "bad_request", "text"),
        ({"txt": "x"}, "bad_request", "text"),
        ({"text": ""}, "invalid_text", "text"),
        ({"text": ["x"]}, "invalid_text", "text"),
        ({"text": "x", "txt": "y"}, "unknown_field", "txt"),
        ({"text": "x", "facts": None}, "bad_field", "facts"),
        ({"text": "x", "facts": [1]}, "bad_field", "facts"),
        ({"text": "x", "facts": {"": 1}}, "bad_facts", "facts"),
        ({"text": "x", "facts": {"n": float("nan")}}, "bad_facts", "facts"),
        ({"text": "x", "facts": {"n": "y" * 65_536}}, "bad_facts", "facts"),
        ({"text": "x", "to": ""}, "bad_field", "to"),
        ({"text": "x", "to": "y" * 49}, "bad_field", "to"),
        ({"text": "x", "to": 7}, "bad_field", "to"),
        ({"text": "x", "conversation_id": ""}, "bad_field", "conversation_id"),
        ({"text": "x", "conversation_id": "y" * 201}, "bad_field", "conversation_id"),
        ({"text": "x", "conversation_id": "a\0b"}, "bad_field", "conversation_id"),
        ({"text": "x", "conversation_id": "\ud800"}, "bad_field", "conversation_id"),
        ({"text": "x", "deadline_s": 0}, "bad_field", "deadline_s"),
        ({"text": "x", "deadline_s": -1}, "bad_field", "deadline_s"),
        ({"text": "x", "deadline_s": float("nan")}, "bad_field", "deadline_s"),
        ({"text": "x", "deadline_s": float("inf")}, "bad_field", "deadline_s"),
        ({"text": "x", "deadline_s": 30 * 86400 + 1}, "bad_field", "deadline_s"),
        ({"text": "x", "max_hops": 0}, "bad_field", "max_hops"),
        ({"text": "x", "max_hops": 1001}, "bad_field", "max_hops"),
        ({"text": "x", "max_hops": "3"}, "bad_field", "max_hops"),
    ],
)
def test_a_bad_request_is_refused_with_its_code_and_field(fields: Any, code: str, field: str | None) -> None:
    with pytest.raises(RequestError) as caught:
        Request.of(fields)
    assert (caught.value.code, caught.value.field) == (code, field)
    assert str(caught.value)


def test_a_refusal_tells_what_was_seen_and_what_is_allowed_and_not_the_whole_input() -> None:
    with pytest.raises(RequestError, match="unknown field 'txt'; allowed are text, conversation_id, facts, to"):
        Request.of({"text": "x", "txt": "y"})
    with pytest.raises(RequestError, match="seen: conversation_id, to"):
        Request.of({"conversation_id": "c", "to": "cards"})
    with pytest.raises(RequestError) as caught:
        Request.of({"text": "x", "to": "secret" * 100})
    assert len(str(caught.value)) < 250


def test_numbers_may_have_their_bounds() -> None:
    assert Request.of({"text": "x", "deadline_s": 30 * 86400, "max_hops": 1000}).max_hops == 1000
    assert Request.of({"text": "x", "deadline_s": 0.001, "max_hops": 1}).deadline_s == 0.001


def test_the_facts_of_a_request_are_plain_json() -> None:
    assert Request.of({"text": "x", "facts": {"pair": (1, 2), "gone": None}}).facts == {"pair": [1, 2], "gone": None}


def test_requests_and_results_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Request.of({"text": "x"}).text = "y"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("status", "has_ended"),
    [
        ("queued", False),
        ("running", False),
        ("waiting", False),
        ("completed", True),
        ("failed", True),
        ("cancelled", True),
    ],
)
def test_a_result_knows_whether_it_is_the_last(status: Any, has_ended: bool) -> None:
    assert Result(run_id="r", conversation_id="c", status=status).has_ended is has_ended


def test_a_failure_reads_back_as_it_was_written() -> None:
    failure = Failure(code="no_agent", message="nobody", agent="router", details={"scores": {"cards": 0.2}})
    assert Failure.model_validate_json(failure.model_dump_json()) == failure


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b"", "bad_json", None),
        (b"[]", "bad_request", None),
        (b'{"reply": {}}', "bad_field", "reply.run_id"),
        (b'{"reply": {"run_id": "r", "text": " "}}', "invalid_text", "text"),
        (b'{"reply": {"run_id": "r", "text": "x"}, "text": "y"}', "unknown_field", "text"),
        (b'{"cancel": {"run_id": ""}}', "bad_field", "cancel.run_id"),
        (b'{"cancel": {"run_id": "r", "reason": "a\\u0000"}}', "invalid_text", "reason"),
        (b'{"text": "%s"}' % (b"x" * BODY_LIMIT_BYTES), "too_large", None),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_body_that_says_nothing_that_can_be_done_is_refused(body: bytes, code: str, field: str | None) -> None:
    with pytest.raises(RequestError) as raised:
        read(body)
    assert (raised.value.code, raised.value.field) == (code, field)
