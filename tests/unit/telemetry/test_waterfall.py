"""Where a run's time went adds up to its duration, whatever overlaps; and every span has a line."""

import time
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.errors import TransientError
from baton.telemetry.waterfall import SPENT, Picture, Spent, Stretch, spent_s, stretches
from tests.support.journals import Hand, a_step
from tests.support.rebuilding import a_hand, picture
from tests.support.waiting import until

DAY_S = 86_400.0
ORDER: tuple[Spent, ...] = ("tool", "route", "work", "wait", "retry", "queue")


@pytest.fixture
async def hand(tmp_path: Path) -> AsyncIterator[Hand]:
    async with a_hand(tmp_path) as hand:
        yield hand


MOMENTS = st.floats(1e9, 1e9 + 1000)
CLAIMED = st.lists(st.builds(Stretch, st.sampled_from(SPENT), MOMENTS, MOMENTS), max_size=30)


@given(claimed=CLAIMED, ends=st.tuples(MOMENTS, MOMENTS))
def test_stretches_follow_each_other_and_add_up(claimed: list[Stretch], ends: tuple[float, float]) -> None:
    start_at, end_at = sorted(ends)
    found = stretches(claimed, start_at, end_at)
    assert all(one.start_at < one.end_at for one in found)
    assert all(one.end_at == two.start_at and one.spent != two.spent for one, two in pairwise(found))
    if found:
        assert (found[0].start_at, found[-1].end_at) == (start_at, end_at)
    assert sum(spent_s(found).values()) == pytest.approx(end_at - start_at, abs=1e-6)


FEW = st.integers(0, 20).map(lambda second: 1e9 + second)


@given(claimed=st.lists(st.builds(Stretch, st.sampled_from(SPENT), FEW, FEW), max_size=12), at=FEW)
def test_a_moment_goes_to_the_first_kind_that_claims_it(claimed: list[Stretch], at: float) -> None:
    there = {one.spent for one in claimed if one.start_at <= at < one.end_at}
    found = stretches(claimed, 1e9, 1e9 + 21)
    seen = next((one.spent for one in found if one.start_at <= at < one.end_at), "other")
    assert seen == next((one for one in ORDER if one in there), "other")


def test_work_counts_before_what_holds_it_up() -> None:
    for place, spent in enumerate(ORDER):
        [one] = stretches([Stretch(kind, 1.0, 2.0) for kind in ORDER[place:]], 1.0, 2.0)
        assert one.spent == spent


def lines(seen: Picture) -> list[str]:
    """Return the labels, indented, with errors and what goes on."""
    return [
        "  " * line.depth + line.label + (f" !{line.error}" if line.error else "") + ("…" if line.is_open else "")
        for line in seen.lines
    ]


async def test_every_span_of_a_hop_stands_under_its_hop(hand: Hand) -> None:
    claim = await hand.at()
    await hand.journal.record(claim.lease, a_step(claim, "freeze"))
    await hand.hand(claim, "b")
    moved = await hand.take(claim.lease.run_id, 2, "b")
    await hand.fail(moved, TransientError("later"))
    again = await hand.take(claim.lease.run_id, 2, "b")
    await hand.harness.expire_lease(claim.lease.run_id, 2)
    await hand.answer(await hand.take(claim.lease.run_id, 2, "b"))
    assert again.attempt == 2
    assert lines(await picture(hand, claim.lease.run_id, now=time.time())) == [
        "run",
        "  hop 0 router",
        "    route → a",
        "  hop 1 a",
        "    invoke_agent a",
        "      execute_tool freeze",
        "      handoff → b",
        "  hop 2 b",
        "    attempt 1 !transient",
        "      invoke_agent b",
        "    wait retry",
        "    attempt 2 lost !worker_lost",
        "    attempt 3",
        "      invoke_agent b",
    ]


async def test_a_long_wait_is_told_as_wait_and_the_rest_as_what_it_was(hand: Hand) -> None:
    claim = await hand.at()
    await hand.ask(claim)
    await hand.harness.pass_time(2 * DAY_S)
    await hand.reply(claim.lease.run_id, "this")
    await hand.answer(await hand.take(claim.lease.run_id, 2, "a"))
    seen = await picture(hand, claim.lease.run_id, now=time.time())
    spent = spent_s(seen.stretches)
    assert spent["wait"] == pytest.approx(2 * DAY_S, abs=60)
    assert all(0 < spent[kind] < 60 for kind in ("route", "queue", "work"))
    assert "other" not in {one.spent for one in seen.stretches}
    assert [one.spent for one in seen.stretches].count("wait") == 1
    assert lines(seen)[5:] == ["  hop 2 a", "    wait user", "    attempt 1", "      invoke_agent a"]


async def test_pauses_and_lost_attempts_are_retry(hand: Hand) -> None:
    accepted = await hand.accept()
    await hand.routed(accepted.run_id)
    await hand.take(accepted.run_id, 1, "a", lease_s=0.05)
    again = await until(lambda: hand.claim(accepted.run_id, 1, "a"))
    assert again is not None
    await hand.fail(again, TransientError("later"))
    await hand.answer(await hand.take(accepted.run_id, 1, "a"))
    seen = await picture(hand, accepted.run_id, now=time.time())
    lost = next(one for one in seen.rebuilt.attempts if one.did == "lost")
    [pause] = [one.span for one in seen.rebuilt.between if one.span.name == "wait retry"]
    retry_s = lost.ended_at - lost.started_at + pause.end_at - pause.start_at
    assert retry_s > 0.05
    assert spent_s(seen.stretches)["retry"] == pytest.approx(retry_s)


async def test_a_tool_is_told_within_its_attempt_whatever_its_workers_clock_says(hand: Hand) -> None:
    claim = await hand.at()
    await hand.journal.record(claim.lease, a_step(claim, started_at=claim.now - 900, ended_at=claim.now + 900))
    await hand.hand(claim, "b")
    await hand.answer(await hand.take(claim.lease.run_id, 2, "b"))
    seen = await picture(hand, claim.lease.run_id, now=time.time())
    attempt = next(one for one in seen.rebuilt.attempts if one.seq == 1)
    spent = spent_s(seen.stretches)
    assert spent["tool"] == pytest.approx(attempt.ended_at - attempt.started_at)
    assert spent["work"] > 0


async def test_what_nobody_has_claimed_is_in_the_queue_until_now(hand: Hand) -> None:
    accepted = await hand.accept()
    await hand.routed(accepted.run_id)
    seen = await picture(hand, accepted.run_id, now=time.time() + 10)
    assert lines(seen) == ["run…", "  hop 0 router", "    route → a", "  hop 1 a (pending)…"]
    assert seen.stretches[-1].spent == "queue"
    assert seen.stretches[-1].took_s > 10
    assert sum(spent_s(seen.stretches).values()) == pytest.approx(seen.end_at - seen.run.accepted_at)


async def test_what_goes_on_is_marked(hand: Hand) -> None:
    claim = await hand.at()
    run_id = claim.lease.run_id
    seen = await picture(hand, run_id, now=time.time() + 1)
    assert lines(seen)[3:] == ["  hop 1 a…", "    invoke_agent a…"]
    assert [span.name for span, is_open in seen.spans if is_open] == ["process baton.agent.a", "invoke_agent a"]
    await hand.ask(claim)
    waiting = await picture(hand, run_id, now=time.time() + 1)
    assert lines(waiting)[5:] == ["  hop 2 a…", "    wait user…"]
    assert [span.name for span, is_open in waiting.spans if is_open] == ["wait user"]
    await hand.cancel(run_id)
    assert not any(line.is_open for line in (await picture(hand, run_id, now=time.time() + 1)).lines)


async def test_an_attempt_of_a_dead_worker_does_not_go_on(hand: Hand) -> None:
    claim = await hand.at()
    await hand.harness.expire_lease(claim.lease.run_id, 1)
    seen = await picture(hand, claim.lease.run_id, now=time.time() + 5)
    assert lines(seen)[3:] == ["  hop 1 a…", "    attempt 1 lost !worker_lost"]
    assert seen.stretches[-1].spent == "queue"
