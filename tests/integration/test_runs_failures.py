"""Whole runs of agents that raise, return nonsense, hang, block, or are stopped: each ends clearly, others go on."""

import asyncio
import logging
import threading
from typing import Any

import pytest

from baton import Agent, Answer, Ask, Handoff, PermanentError, TransientError, Turn
from baton.testing import scripted_agent, serve
from tests.support.teams import a_team, an_agent
from tests.support.waiting import until


def raising(error: BaseException, **changes: Any) -> Agent:
    def take(turn: Turn) -> Any:
        raise error

    return an_agent("a", take, **changes)


GOOD = scripted_agent("b", Answer("fine"))


async def test_passing_trouble_is_retried_until_it_passes() -> None:
    agent = scripted_agent("a", TransientError("later"), ValueError("odd"), Answer("done"))
    async with serve(a_team(agents=[agent])) as served:
        result = await served.send("hello")
        assert (result.status, result.text) == ("completed", "done")
        events = [(event.type, event.data.get("code")) for event in await served.journal.events(result.run_id)]
        assert [event for event in events if event[0] in ("retry", "attempt")] == [
            ("retry", "transient"),
            ("attempt", None),
            ("retry", "agent_error"),
            ("attempt", None),
        ]


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (ValueError("odd"), "max_attempts", "agent 'a' failed 2 of 2 attempts; last: ValueError: odd"),
        (ValueError("a\ud800b"), "max_attempts", "last: ValueError: a?b"),
        (asyncio.CancelledError(), "max_attempts", "last: CancelledError: no message"),
        (TimeoutError("upstream"), "max_attempts", "last: TimeoutError: upstream"),
        (SystemExit(3), "max_attempts", "last: SystemExit: 3"),
        (PermanentError("account closed"), "permanent", "account closed"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_an_agent_that_raises_fails_its_run_and_no_other(error: BaseException, code: str, told: str) -> None:
    async with serve(a_team(agents=[raising(error, max_attempts=2), GOOD])) as served:
        result = await served.send("hello")
        assert result.error is not None
        assert (result.status, result.error.code, result.error.agent) == ("failed", code, "a")
        assert told in result.error.message
        assert (await served.send("hello", to="b")).text == "fine"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "agent 'a' returned None (is a `return` missing?); a turn returns Answer"),
        ("done", "agent 'a' returned str; a turn returns Answer"),
        (Answer(""), "Answer.text is empty"),
        (Answer("x", data=object()), "Answer.data is not JSON"),
        (Ask("which?", deadline_s=-1), "Ask.deadline_s is -1"),
        (Handoff("b", reason="\ud800"), "Handoff.reason has a lone surrogate"),
        (Handoff("b", facts=7), "facts are int"),  # type: ignore[arg-type]
        (Handoff("b", facts={"n": float("nan")}), "facts['n'] is not JSON"),
        (Handoff("b", facts={"n": "x" * 65_536}), "at most 65536 are allowed"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "told",
)
async def test_a_turn_that_returns_nonsense_fails_its_run_at_once(value: Any, told: str) -> None:
    async with serve(a_team(an_agent("a", lambda turn: value) >> GOOD)) as served:
        result = await served.send("hello")
        assert result.error is not None
        assert (result.status, result.error.agent) == ("failed", "a")
        assert result.error.code in ("bad_outcome", "facts")
        assert told in result.error.message
        assert (await served.journal.hops(result.run_id))[1].attempt == 1


async def test_a_turn_that_never_returns_is_stopped_at_its_timeout_and_others_go_on() -> None:
    never = asyncio.Event()
    stuck = an_agent("a", lambda turn: never.wait(), timeout_s=0.05, max_attempts=2)
    async with serve(a_team(agents=[stuck, GOOD])) as served:
        run = await served.start("hello")
        assert (await served.send("hello", to="b")).text == "fine"
        result = await run.result()
        assert result.error is not None
        assert result.error.code == "max_attempts"
        assert "the turn of 'a' took longer than its 0.05 s (`timeout_s`)" in result.error.message


async def test_plain_turns_that_never_return_do_not_stop_others_however_many() -> None:
    gate = threading.Event()
    stuck = Agent("a", "Hangs", timeout_s=0.05, max_attempts=1, concurrency=40)

    @stuck.turn
    def hang(turn: Turn) -> Answer:
        gate.wait()
        return Answer("late")

    async with serve(a_team(agents=[stuck, GOOD])) as served:
        runs = [await served.start(f"hello {n}") for n in range(40)]
        assert {(await run.result()).status for run in runs} == {"failed"}
        assert (await served.send("hello", to="b")).text == "fine"
        assert (await served.send("to be routed")).status == "failed"
    gate.set()


async def test_a_late_answer_of_a_turn_that_timed_out_is_dropped() -> None:
    gate = threading.Event()
    late = Agent("a", "Late", timeout_s=0.05, max_attempts=2)
    answers = []

    @late.turn
    def slow(turn: Turn) -> Answer:
        if turn.attempt == 1:
            gate.wait(10)
        answers.append(turn.attempt)
        return Answer(f"attempt {turn.attempt}")

    async with serve(a_team(agents=[late])) as served:
        result = await served.send("hello")
        assert result.text == "attempt 2"
        gate.set()
        await until(lambda: len(answers) == 2)
        assert (await served.journal.result(result.run_id)).text == "attempt 2"


async def test_a_turn_past_the_runs_deadline_ends_the_run() -> None:
    never = asyncio.Event()
    async with serve(a_team(agents=[an_agent("a", lambda turn: never.wait())])) as served:
        result = await served.send("hello", deadline_s=0.2)
        assert result.error is not None
        assert (result.status, result.error.code) == ("failed", "deadline_exceeded")


async def test_an_agent_that_blocks_the_event_loop_is_logged_with_its_stack_and_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = threading.Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "event loop has been blocked" in record.getMessage():
                told.set()

    def blocks_the_loop(turn: Turn) -> Answer:
        assert told.wait(10), "nobody noticed"
        return Answer("woke up")

    listener = Listener()
    logging.getLogger("baton").addHandler(listener)
    try:
        async with serve(a_team(agents=[an_agent("a", blocks_the_loop), GOOD]), lease_s=0.5) as served:
            blocked, other = await served.start("hello"), await served.start("hello", to="b")
            assert (await blocked.result()).text == "woke up"
            assert (await other.result()).text == "fine"
    finally:
        logging.getLogger("baton").removeHandler(listener)
    [message] = {record.getMessage() for record in caplog.records if "blocked" in record.getMessage()}
    assert "in blocks_the_loop" in message


async def test_a_cancel_reaches_a_working_agent_at_its_next_step() -> None:
    gate, steps = asyncio.Event(), []

    async def take(turn: Turn) -> Answer:
        steps.append("first")
        await gate.wait()
        await turn.step("second", steps.append, "second")
        return Answer("too late")

    async with serve(a_team(agents=[an_agent("a", take)])) as served:
        run = await served.start("hello", conversation_id="c1")
        await until(lambda: bool(steps))
        follower = await served.start("next", conversation_id="c1", to="nobody")
        assert (await run.cancel("changed my mind")).status == "running"
        gate.set()
        result = await run.result(timeout_s=5)
        assert result.error is not None
        assert (result.status, result.error.message) == ("cancelled", "cancelled by user: changed my mind")
        assert (await follower.result(timeout_s=5)).status == "failed"
        assert await served.journal.steps(run.run_id) == []


async def test_a_cancel_reaches_an_agent_that_only_waits_at_the_next_renewal() -> None:
    never, seen = asyncio.Event(), []

    async def take(turn: Turn) -> Answer:
        seen.append("working")
        try:
            await never.wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        return Answer("never")

    async with serve(a_team(agents=[an_agent("a", take)]), lease_s=0.6) as served:
        run = await served.start("hello")
        await until(lambda: bool(seen))
        await run.cancel()
        assert (await run.result()).status == "cancelled"
        assert seen == ["working", "cancelled"]


async def test_a_broken_skill_handler_is_a_failure_of_its_run_only() -> None:
    async with serve(a_team(agents=[scripted_agent("a", RuntimeError("odd"), Answer("done"))])) as served:
        assert (await served.send("hello")).status == "completed"
