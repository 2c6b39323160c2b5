"""Which messages cross a handoff, and how their places are stored."""

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.envelope import Message
from baton.errors import OutcomeError
from baton.protocol.transfer import extend, select, spans

LOG = tuple(Message(position=n, role="user", text=f"message {n}") for n in range(5))


def positions(messages: Sequence[Message]) -> list[int]:
    return [message.position for message in messages]


@pytest.mark.parametrize(
    ("transfer", "crossing"),
    [
        ("full", [0, 1, 2, 3, 4]),
        (0, []),
        (1, [4]),
        (2, [3, 4]),
        (5, [0, 1, 2, 3, 4]),
        (99, [0, 1, 2, 3, 4]),
        (lambda log: log[:2], [0, 1]),
        (lambda log: [log[3], log[1], log[3]], [1, 3]),
        (lambda log: (message for message in log if message.position % 2), [1, 3]),
        (lambda log: [], []),
    ],
)
def test_a_transfer_lets_its_messages_cross_in_the_order_of_the_log(transfer: Any, crossing: list[int]) -> None:
    assert positions(select(LOG, transfer, None)) == crossing


def test_a_summary_crosses_in_place_of_the_messages() -> None:
    assert select(LOG, "summary", "the card is frozen") == ()
    assert positions(select(LOG, 1, "the card is frozen")) == [4]


@pytest.mark.parametrize("summary", [None, ""])
def test_a_summary_has_to_be_given(summary: str | None) -> None:
    with pytest.raises(OutcomeError, match='needs summary="…"'):
        select(LOG, "summary", summary)


@pytest.mark.parametrize("transfer", ["all", "", None, 1.5, True, False, ["full"]])
def test_a_transfer_of_no_known_form_is_refused_with_the_known_ones(transfer: Any) -> None:
    with pytest.raises(OutcomeError, match='allowed are "full", "summary", a number, or a function'):
        select(LOG, transfer, "told")


def test_a_negative_number_of_messages_is_refused() -> None:
    with pytest.raises(OutcomeError, match="transfer=-1: .* 0 or more"):
        select(LOG, -1, None)


@pytest.mark.parametrize(
    "chosen",
    [
        [LOG[0].model_copy(update={"text": "made up"})],
        [Message(position=9, role="user", text="message 9")],
        ["message 1"],
        None,
        7,
    ],
)
def test_a_function_may_pick_messages_and_make_up_none(chosen: Any) -> None:
    with pytest.raises(OutcomeError, match="transfer=function returned"):
        select(LOG, lambda log: chosen, None)


def test_an_empty_log_has_nothing_to_cross() -> None:
    assert select((), "full", None) == select((), 3, None) == ()


@pytest.mark.parametrize(
    ("given", "ranges"),
    [([], ()), ([3], ((3, 4),)), ([0, 1, 2], ((0, 3),)), ([0, 2, 3, 7], ((0, 1), (2, 4), (7, 8)))],
)
def test_positions_are_stored_as_ranges(given: list[int], ranges: tuple[tuple[int, int], ...]) -> None:
    assert spans(given) == ranges


ascending = st.sets(st.integers(0, 40)).map(sorted)


@given(ascending)
def test_ranges_hold_exactly_the_positions_and_never_touch(given: list[int]) -> None:
    ranges = spans(given)
    assert [n for first, last in ranges for n in range(first, last)] == given
    assert all(before[1] < after[0] for before, after in itertools.pairwise(ranges))


@given(ascending, st.integers(0, 5))
def test_a_later_position_extends_the_ranges_as_if_it_had_been_among_them(given: list[int], gap: int) -> None:
    position = (given[-1] + 1 if given else 0) + gap
    assert extend(spans(given), position) == spans([*given, position])
