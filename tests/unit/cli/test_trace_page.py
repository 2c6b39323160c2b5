"""A waterfall's bars: to scale where somebody worked, cut where nobody did for long."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.cli import trace_page
from baton.cli.axis import Axis, elapsed
from baton.telemetry.waterfall import SPENT, Stretch
from tests.support.journals import Hand
from tests.support.rebuilding import a_hand, picture

WIDTHS = st.integers(10, 200)
DURATIONS = st.lists(st.tuples(st.sampled_from(SPENT), st.floats(1e-6, 1e6)), min_size=1, max_size=20)


@pytest.fixture
async def hand(tmp_path: Path) -> AsyncIterator[Hand]:
    async with a_hand(tmp_path) as hand:
        yield hand


def in_a_row(durations: list[tuple[str, float]]) -> list[Stretch]:
    """Return stretches, one after the other."""
    found: list[Stretch] = []
    at = 1e9
    for spent, took_s in durations:
        found.append(Stretch(spent, at, at + took_s))  # type: ignore[arg-type]  # of SPENT
        at += took_s
    return found


@pytest.mark.parametrize(
    ("duration_s", "told"),
    [
        (0.004, "4 ms"),
        (1.25, "1.25 s"),
        (310, "5 min 10 s"),
        (7200, "2 h"),
        (183_600, "2 d 3 h"),
        (172_800, "2 d"),
        (3599.7, "1 h"),
    ],
)
def test_durations_are_told_in_two_units(duration_s: float, told: str) -> None:
    assert elapsed(duration_s) == told


@given(durations=DURATIONS, width=WIDTHS)
def test_bars_stay_on_the_axis_and_are_never_empty(durations: list[tuple[str, float]], width: int) -> None:
    found = in_a_row(durations)
    axis = Axis.of(found, width)
    assert axis.column(found[0].start_at) == 0
    assert axis.column(found[-1].end_at) == pytest.approx(width, abs=1e-3) or not any(
        piece.end_column - piece.start_column > 1e-9 for piece in axis.pieces if not piece.label
    )
    for one in found:
        first, after = axis.columns(one.start_at, one.end_at)
        assert 0 <= first < after <= width


def test_a_long_wait_is_cut_and_leaves_its_room_to_the_others() -> None:
    axis = Axis.of(in_a_row([("work", 1.0), ("wait", 183_600.0), ("work", 1.0), ("retry", 0.9)]), 60)
    work, wait, more, short = axis.pieces
    assert wait.label == "⋯ 2 d 3 h ⋯"
    assert wait.end_column - wait.start_column == len(wait.label)
    assert short.label == ""
    assert axis.column((wait.start_at + wait.end_at) / 2) == wait.start_column
    assert work.end_column - work.start_column == pytest.approx((60 - len(wait.label)) / 2.9)
    assert more.end_column - more.start_column == pytest.approx(work.end_column - work.start_column)


def test_a_long_turn_is_never_cut() -> None:
    axis = Axis.of(in_a_row([("work", 3600.0), ("retry", 60.0)]), 60)
    assert not any(piece.label for piece in axis.pieces)


def test_many_cuts_leave_half_of_the_width() -> None:
    axis = Axis.of(in_a_row([("work", 0.1), ("retry", 60.0)] * 30), 40)
    cut = sum(piece.end_column - piece.start_column for piece in axis.pieces if piece.label)
    assert cut <= 20


async def test_a_wait_of_days_is_one_mark_on_the_page(hand: Hand) -> None:
    claim = await hand.at()
    await hand.ask(claim)
    await hand.harness.pass_time(183_600)
    await hand.reply(claim.lease.run_id, "this")
    await hand.answer(await hand.take(claim.lease.run_id, 2, "a"))
    seen = await picture(hand, claim.lease.run_id, now=time.time())
    page = trace_page.drawn(seen, 120)
    assert all(len(line) <= 120 for line in page)
    by_label = {line.strip().split("  ")[0]: line for line in page[1:]}
    assert by_label["wait user"].endswith("⋯ 2 d 3 h ⋯")
    assert by_label["run"].count("╌") == len("⋯ 2 d 3 h ⋯")
    assert by_label["hop 0 router"].count("█") > 1
    assert "wait 2 d 3 h" in trace_page.where(seen)
