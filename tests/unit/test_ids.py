"""Identifiers: unique where they are new, the same for ever where they are derived."""

import re
import time

from hypothesis import given
from hypothesis import strategies as st

from baton import ids


def test_a_run_id_is_32_lower_case_hex_digits_and_no_zero_trace_id() -> None:
    made = {ids.new_run_id() for _ in range(1_000)}
    assert len(made) == 1_000
    assert all(re.fullmatch("[0-9a-f]{32}", run_id) and int(run_id, 16) for run_id in made)


def test_a_run_id_begins_with_the_unix_milliseconds_at_which_it_was_made() -> None:
    before = time.time_ns() // 1_000_000
    made = int(ids.new_run_id()[:12], 16)
    assert before <= made <= time.time_ns() // 1_000_000


def test_run_ids_sort_by_the_millisecond_in_which_they_were_made() -> None:
    made = [ids.new_run_id() for _ in range(1_000)]
    assert [run_id[:12] for run_id in sorted(made)] == sorted(run_id[:12] for run_id in made)


def test_an_id_is_32_random_hex_digits() -> None:
    assert len({ids.new_id() for _ in range(1_000)}) == 1_000
    assert re.fullmatch("[0-9a-f]{32}", ids.new_id())


def test_derived_ids_are_what_they_have_always_been() -> None:
    run_id = "0192f3c4d5e6" + "0" * 20
    assert ids.message_id(run_id, 3) == "1552539a-0ffd-585c-a39f-0a6aefc11ca4"
    assert ids.result_id(run_id) == "1504a827-0f63-52be-bd0d-f31275773534"
    assert ids.result_id(run_id, "w1") == "931f4441-bfc4-5592-85d4-07e85b162476"
    assert ids.idempotency_key(run_id, "2", "freeze") == "0c3e64da-f42e-55cf-84b4-02aa464fef4c"


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from("abc"), st.sampled_from(["1", "11", "agent:a"]))))
def test_two_effects_never_share_an_idempotency_key(calls: list[tuple[int, str, str]]) -> None:
    keys = {(n, key, scope): ids.idempotency_key(f"{n:032x}", scope, key) for n, key, scope in calls}
    assert len(set(keys.values())) == len(keys)


def test_a_hop_a_result_and_a_question_of_one_run_have_different_ids() -> None:
    run_id = ids.new_run_id()
    assert (
        len({ids.message_id(run_id, 0), ids.message_id(run_id, 1), ids.result_id(run_id), ids.result_id(run_id, "w")})
        == 4
    )


def test_the_first_id_of_a_moment_is_not_above_those_made_then_and_above_those_made_before() -> None:
    before, made, after = ids.first_run_id(time.time() - 0.01), ids.new_run_id(), ids.first_run_id(time.time() + 0.01)
    assert before < made < after
    assert ids.first_run_id(-1.0) == ids.first_run_id(0.0) == "0" * 32
