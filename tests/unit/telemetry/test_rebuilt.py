"""A run's spans from its rows: each row of the journal was written by the operations that write it in production."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from baton.card import Card
from baton.errors import TransientError
from baton.journal.records import Claim
from baton.telemetry import layout, names
from baton.telemetry.rebuilt import Rebuilt
from tests.support.journals import Hand, a_step
from tests.support.rebuilding import a_hand, rebuilt


@pytest.fixture
async def hand(tmp_path: Path) -> AsyncIterator[Hand]:
    async with a_hand(tmp_path) as hand:
        yield hand


def told(run: Rebuilt, seq: int = 1) -> list[tuple[int, int, str, str | None]]:
    """Return token, number, end and error of each attempt at a hop."""
    return [(one.token, one.attempt, one.did, one.error_code) for one in run.attempts if one.seq == seq]


def waits(run: Rebuilt) -> list[tuple[str, tuple[int, int] | None]]:
    """Return the pauses, each with the attempt whose worker writes it."""
    return [(one.span.name, one.before) for one in run.between if one.span.name.startswith("wait")]


async def lose(hand: Hand, claim: Claim) -> Claim:
    """Let a claimed hop's worker die, and claim the hop again."""
    await hand.harness.expire_lease(claim.lease.run_id, claim.lease.seq)
    return await hand.take(claim.lease.run_id, claim.lease.seq, claim.agent)


async def test_an_attempt_whose_worker_died_is_lost_and_the_next_one_links_to_it(hand: Hand) -> None:
    claim = await hand.at()
    await hand.answer(await lose(hand, claim))
    run = await rebuilt(hand, claim.lease.run_id)
    assert told(run) == [(1, 1, "lost", "worker_lost"), (2, 2, "answer", None)]
    lost, last = [one for one in run.attempts if one.seq == 1]
    assert [span.name for span in run.before(1, 2)] == ["lost attempt baton.agent.a"]
    assert lost.process in layout.attempt_spans(last)[0].links
    assert (lost.started_at, last.queue_s) == (claim.now, None)


async def test_a_run_whose_workers_all_died_has_their_attempts_and_none_of_the_claim_that_ended_it(hand: Hand) -> None:
    claim = await hand.at()
    run_id = claim.lease.run_id
    await hand.harness.expire_lease(run_id, 1)
    again = await hand.take(run_id, 1, "a", max_attempts=2)
    await hand.harness.expire_lease(run_id, 1)
    assert again.attempt == 2
    assert await hand.claim(run_id, 1, "a", max_attempts=2) is None
    assert await hand.status(run_id) == "failed"
    run = await rebuilt(hand, run_id)
    assert told(run) == [(1, 1, "lost", "worker_lost"), (2, 2, "lost", "worker_lost")]
    lost = ["lost attempt baton.agent.a"] * 2
    assert [span.name for span in run.with_root()] == ["invoke_workflow baton", *lost]


async def test_a_hand_back_ends_an_attempt_and_uses_up_none(hand: Hand) -> None:
    claim = await hand.at()
    await hand.hand_back(claim)
    await hand.answer(await hand.take(claim.lease.run_id, 1, "a"))
    assert told(await rebuilt(hand, claim.lease.run_id)) == [(1, 1, "handed_back", None), (2, 1, "answer", None)]


async def test_two_approvals_of_one_hop_are_three_attempts_and_two_waits(hand: Hand) -> None:
    claim = await hand.at()
    run_id = claim.lease.run_id
    await hand.approve(claim, "one")
    await hand.reply(run_id, decision="approve", by="ann")
    await hand.approve(await hand.take(run_id, 1, "a"), "two")
    await hand.reply(run_id, decision="approve", by="ann")
    await hand.answer(await hand.take(run_id, 1, "a"))
    run = await rebuilt(hand, run_id)
    assert told(run) == [(1, 1, "wait", None), (2, 1, "wait", None), (3, 1, "answer", None)]
    assert waits(run) == [("wait approval", (1, 2)), ("wait approval", (1, 3))]
    first, second = [one.span for one in run.between if one.span.name == "wait approval"]
    by_token = {one.token: one for one in run.attempts if one.seq == 1}
    assert (first.links, second.links) == ((by_token[1].work,), (by_token[2].work,))
    assert not any(one.steps for one in run.attempts), "what a person said is no tool call"
    assert by_token[1].creation == layout.publish_of(run.facts, 1), "its kind is `resume` by now"


async def test_a_wait_for_a_person_is_written_by_the_hop_that_the_person_gave_on_to(hand: Hand) -> None:
    claim = await hand.at()
    run_id = claim.lease.run_id
    await hand.journal.register(Card(name="b", description="b"))
    await hand.hand(claim, "human")
    await hand.reply(run_id, handoff="b", by="ann")
    await hand.answer(await hand.take(run_id, 3, "b"))
    run = await rebuilt(hand, run_id)
    assert waits(run) == [("wait human", (3, 1))]
    assert [one.seq for one in run.attempts] == [0, 1, 3]
    assert run.attempts[-1].creation is None


async def test_a_question_that_nobody_answered_is_written_by_the_next_attempt_wherever_that_is(hand: Hand) -> None:
    claim = await hand.at()
    run_id = claim.lease.run_id
    await hand.journal.register(Card(name="b", description="b"))
    await hand.ask(claim, deadline_s=10.0, on_timeout="escalate")
    await hand.harness.pass_time(20)
    await hand.journal.sweep()
    await hand.reply(run_id, handoff="b", by="ann")
    last = await hand.journal.hops(run_id)
    await hand.answer(await hand.take(run_id, len(last) - 1, "b"))
    run = await rebuilt(hand, run_id)
    assert waits(run) == [("wait user", (4, 1)), ("wait human", (4, 1))]
    assert [one.span.error for one in run.between] == ["nobody answered in time", None]


async def test_a_run_that_ended_in_a_pause_before_a_retry_has_that_pause(hand: Hand) -> None:
    claim = await hand.at()
    run_id = claim.lease.run_id
    await hand.fail(claim, TransientError("later"), delay_s=60.0)
    now = time.time() + 5
    [pause] = [one.span for one in (await rebuilt(hand, run_id, now=now)).between]
    assert (pause.name, pause.end_at) == ("wait retry", now)
    assert (await rebuilt(hand, run_id)).between == ()
    await hand.cancel(run_id)
    run = await rebuilt(hand, run_id)
    assert told(run) == [(1, 1, "retry", "transient")]
    assert [span.name for span in run.with_root()] == ["invoke_workflow baton", "wait retry"]
    assert run.attempts[-1].queue_s is None, "the retry has overwritten since when the hop was due"


async def test_an_attempt_that_learned_of_a_cancel_at_its_end_is_cancelled(hand: Hand) -> None:
    claim = await hand.at()
    await hand.cancel(claim.lease.run_id)
    assert (await hand.hand(claim, "b")).outcome == "cancelled"
    run = await rebuilt(hand, claim.lease.run_id)
    assert told(run) == [(1, 1, "cancelled", "cancelled")]


async def test_a_redriven_run_has_nothing_of_what_it_only_copied(hand: Hand) -> None:
    claim = await hand.at()
    await hand.journal.record(claim.lease, a_step(claim, started_at=claim.now, ended_at=claim.now))
    await hand.hand(claim, "b")
    moved = await hand.take(claim.lease.run_id, 2, "b")
    await hand.journal.record(moved.lease, a_step(moved, "done before", started_at=moved.now, ended_at=moved.now))
    again = await hand.redrive(await hand.killed(moved))
    await hand.answer(await hand.take(again.run_id, 2, "b"))
    run = await rebuilt(hand, again.run_id)
    assert [(one.seq, one.did, list(one.steps), one.creation) for one in run.attempts] == [(2, "answer", [], None)]
    assert [span.name for span in run.spans] == [
        "invoke_workflow baton",
        "process baton.agent.b",
        "invoke_agent b",
    ]


async def test_a_step_belongs_to_its_attempt_whatever_its_workers_clock_says(hand: Hand) -> None:
    claim = await hand.at()
    for key, ahead_s in (("behind", -5), ("ahead", 500)):
        step = a_step(claim, key, started_at=claim.now + ahead_s, ended_at=claim.now + ahead_s)
        await hand.journal.record(claim.lease, step)
    again = await lose(hand, claim)
    step = a_step(again, "of the second", started_at=again.now - 50, ended_at=again.now - 50)
    await hand.journal.record(again.lease, step)
    await hand.answer(again)
    run = await rebuilt(hand, claim.lease.run_id)
    recorded = [{step.key for step in one.steps} for one in run.attempts if one.seq == 1]
    assert recorded == [{"behind", "ahead"}, {"of the second"}]


async def test_what_goes_on_ends_now_or_when_its_lease_ran_out(hand: Hand) -> None:
    claim = await hand.at()
    run_id, now = claim.lease.run_id, time.time() + 1
    assert told(await rebuilt(hand, run_id)) == []
    run = await rebuilt(hand, run_id, now=now)
    assert told(run) == [(1, 1, "running", None)]
    assert run.attempts[-1].ended_at == now
    await hand.harness.expire_lease(run_id, 1)
    lost = await rebuilt(hand, run_id, now=now)
    assert told(lost) == [(1, 1, "lost", "worker_lost")]
    assert lost.attempts[-1].ended_at < now


async def test_a_turn_that_took_no_time_by_the_clock_is_there(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.0)
    claim = await hand.at()
    await hand.answer(claim)
    run = await rebuilt(hand, claim.lease.run_id)
    assert [(one.seq, one.did) for one in run.attempts] == [(0, "classified"), (1, "answer")]


async def test_spans_carry_the_ids_that_workers_gave_them(hand: Hand) -> None:
    claim = await hand.at()
    await hand.answer(claim)
    run = await rebuilt(hand, claim.lease.run_id)
    process = next(span for span in run.spans if span.name == "process baton.agent.a")
    assert process.context == run.facts.named("process", 1, claim.lease.token)
    assert process.attributes[names.HOP] == 1
