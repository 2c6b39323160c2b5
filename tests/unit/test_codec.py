"""The rules for every value from outside: what is taken, what is refused, and what is told."""

import dataclasses
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from baton import codec
from baton.errors import FactsError, RequestError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=4), json_values, max_size=4)


class Money(BaseModel):
    amount: int
    currency: str = "EUR"


@dataclasses.dataclass
class Point:
    x: int
    tags: set[str] = dataclasses.field(default_factory=set)


def nested(levels: int) -> Any:
    value: Any = "core"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "empty"),
        (" \n\t\u00a0", "empty"),
        (None, "NoneType; it has to be a string"),
        (b"bytes", "bytes; it has to be a string"),
        (7, "int; it has to be a string"),
        ("a\ud800b", "lone surrogate at 1"),
        ("ab\0", r"U\+0000 at 2"),
        ("x" * (2 * 1024 * 1024), "2097152 bytes; at most 262144 are allowed"),
        ("é" * 131_073, "262146 bytes; at most 262144"),
    ],
)
def test_a_text_that_cannot_be_taken_is_refused_with_what_was_seen(text: object, told: str) -> None:
    with pytest.raises(RequestError, match=told) as caught:
        codec.checked_text(text, field="question")
    assert (caught.value.code, caught.value.field) == ("invalid_text", "question")
    assert str(caught.value).startswith("question ")


@pytest.mark.parametrize("text", ["x", "é" * 131_072, "a\u0001\u200b\U0001f600 \r\n", " padded "])
def test_any_other_text_is_taken_unchanged(text: str) -> None:
    assert codec.checked_text(text) is text


def test_a_text_may_have_exactly_its_limit_and_no_byte_more() -> None:
    assert codec.checked_text("abc", limit_bytes=3)
    with pytest.raises(RequestError, match="4 bytes; at most 3"):
        codec.checked_text("abcd", limit_bytes=3)


@given(json_values)
def test_plain_is_what_a_reader_of_the_encoded_value_sees(value: Any) -> None:
    assert codec.plain(value) == codec.decode(codec.encode(value)) == json.loads(json.dumps(value))


@given(json_values)
def test_plain_changes_nothing_that_is_plain(value: Any) -> None:
    assert codec.plain(codec.plain(value)) == codec.plain(value)


def test_plain_turns_tuples_models_and_dataclasses_into_what_json_has() -> None:
    value = {"pair": (1, 2), "money": Money(amount=3), "point": Point(1), 5: "five"}
    assert codec.plain(value) == {
        "pair": [1, 2],
        "money": {"amount": 3, "currency": "EUR"},
        "point": {"x": 1, "tags": []},
        "5": "five",
    }


@pytest.mark.parametrize(
    "value",
    [math.nan, -math.inf, {"deep": [math.inf]}, object(), "\ud800", {"\udfff": 1}, 10**5000, b"\xff", nested(193)],
    ids=lambda value: type(value).__name__,
)
def test_what_some_reader_could_not_read_back_is_no_plain_json(value: object) -> None:
    with pytest.raises(ValueError, match="^not JSON"):
        codec.plain(value)


def test_a_value_that_holds_itself_is_no_plain_json() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="^not JSON"):
        codec.plain(loop)


def test_a_value_of_the_deepest_nesting_can_be_read_inside_an_envelope() -> None:
    value = codec.plain(nested(codec.DEPTH_LIMIT))
    inside = {"messages": [{"data": {"more": [value]}}]}
    assert codec.decode(codec.encode(inside)) == inside


@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b"[Infinity]", b'{"a": 1} 2', b"\xff", b'"\\ud800"'])
def test_bytes_that_are_no_json_are_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="line 1"):
        codec.decode(body)


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (None, "NoneType"),
        (["card"], "list"),
        ("card=frozen", "str"),
        ({1: "x"}, "key 1"),
        ({"": "x"}, "key ''"),
        ({"\ud800": "x"}, "not JSON"),
        ({"ok": 1, "card": math.nan}, r"facts\['card'\].*no NaN"),
        ({"card": object()}, r"facts\['card'\] is not JSON"),
        ({"card": nested(200)}, "at most 192 levels"),
    ],
)
def test_facts_of_a_wrong_type_are_refused_by_name(facts: object, told: str) -> None:
    with pytest.raises(FactsError, match=told):
        codec.checked_facts(facts)


def test_facts_become_plain_json_and_none_stays_as_the_mark_that_deletes() -> None:
    facts = {"card": ("visa", 1), "gone": None, "money": Money(amount=3)}
    assert codec.checked_facts(facts) == {
        "card": ["visa", 1],
        "gone": None,
        "money": {"amount": 3, "currency": "EUR"},
    }


def test_merging_facts_lets_the_later_win_and_none_delete() -> None:
    assert codec.merge_facts({"a": 1, "b": 2, "c": 3}, {"b": 20, "c": None, "d": None}) == {"a": 1, "b": 20}


@settings(max_examples=50)
@given(objects, objects)
def test_merging_the_same_change_again_changes_nothing(base: dict[str, Any], change: dict[str, Any]) -> None:
    once = codec.merge_facts(base, change)
    assert codec.merge_facts(once, change) == once
    assert None not in once.values()


def test_facts_may_have_exactly_64_kib_and_no_byte_more() -> None:
    overhead = len(codec.encode({"a": ""}))
    exact = {"a": "x" * (codec.FACTS_LIMIT_BYTES - overhead)}
    assert codec.merge_facts({}, exact) == exact
    with pytest.raises(FactsError, match="65537 bytes; at most 65536"):
        codec.merge_facts({}, {"a": exact["a"] + "x"})


def test_deleting_facts_makes_room_for_others() -> None:
    full = {"a": "x" * 60_000}
    assert codec.merge_facts(full, {"a": None, "b": "y" * 60_000}).keys() == {"b"}


def test_a_digest_is_of_the_parts_in_a_row() -> None:
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert codec.digest(b"abc") == codec.digest(b"a", b"", b"bc") == known


@settings(max_examples=50)
@given(objects)
def test_a_fingerprint_does_not_depend_on_the_order_of_keys(value: dict[str, Any]) -> None:
    assert codec.fingerprint(value) == codec.fingerprint(dict(reversed(value.items())))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1], [2]),
        ([1], ["1"]),
        (["a", "b"], ["b", "a"]),
        ([None], []),
        ([{}], [[]]),
        ([Money(amount=1)], [Money(amount=2)]),
    ],
)
def test_other_values_have_other_fingerprints(one: object, other: object) -> None:
    assert codec.fingerprint(one) != codec.fingerprint(other)


def test_a_model_and_its_fields_have_one_fingerprint_on_first_run_and_replay() -> None:
    assert codec.fingerprint([Money(amount=1)]) == codec.fingerprint([{"amount": 1, "currency": "EUR"}])
    assert codec.fingerprint([Point(1)]) == codec.fingerprint([{"x": 1, "tags": []}])


@pytest.mark.parametrize("make", [object, lambda: (n for n in ()), lambda: b"\xff", lambda: [].append])
def test_what_has_no_json_form_counts_by_its_type(make: Callable[[], object]) -> None:
    assert codec.fingerprint([make()]) == codec.fingerprint([make()])
    assert codec.fingerprint([make()]) != codec.fingerprint([[]])


def test_a_fingerprint_does_not_read_what_can_be_read_only_once() -> None:
    numbers = (n for n in range(3))
    codec.fingerprint([numbers])
    assert list(numbers) == [0, 1, 2]


def test_a_value_that_holds_itself_has_a_fingerprint() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert codec.fingerprint(loop) == codec.fingerprint(loop)


def test_a_fingerprint_is_the_same_in_a_process_with_another_hash_seed() -> None:
    program = "from baton import codec; print(codec.fingerprint([{'a', 'b', 'c', 'd'}, {'k': frozenset('xyz')}]))"
    shared = Path(codec.__file__).parents[1]
    seen = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(shared)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1
