"""What a served team counts: every run, traced or not, and never which."""

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from baton import Answer, Ask, Handoff, PermanentError, Team, TransientError, Turn, ids
from baton.broker.contract import Delivery
from baton.hop.watchdog import Watchdog
from baton.journal.records import Accept, ClaimCommand
from baton.journal.sqlite.journal import SqliteJournal
from baton.request import Request
from baton.telemetry import names
from baton.telemetry.metrics import Metrics, tool_name
from baton.telemetry.telling import Telemetry
from baton.testing import serve
from tests.support.metering import Counted
from tests.support.teams import a_team, an_agent
from tests.support.waiting import until


@pytest.fixture
def counted() -> Counted:
    return Counted()


def pair() -> Team:
    """Return a team whose `a` looks something up, and hands over to `b`."""

    async def first(turn: Turn) -> Handoff:
        await turn.step("look-up:4711", len, turn.text)
        return Handoff("b", reason="yours")

    return a_team(an_agent("a", first) >> an_agent("b", lambda turn: Answer("done")))


def alone(take: Callable[[Turn], object]) -> Team:
    return a_team(agents=[an_agent("a", take)])


async def test_a_run_with_a_handoff_is_counted_at_each_of_its_stages(counted: Counted) -> None:
    async with serve(pair(), meter=counted.meter) as served:
        await served.send("hello")
        await until(lambda: counted.of(names.RUN), what="the run's end is counted")
    published = {"baton.work:a": 1, "baton.work:b": 1, "baton.work:router": 1}
    consumed = {"baton.agent.a": 1, "baton.agent.b": 1, "baton.agent.router": 1}
    assert counted.of(names.SENT, names.DESTINATION) == published
    assert counted.of(names.OPERATION, names.DESTINATION) == published
    assert counted.of(names.CONSUMED, names.DESTINATION) == consumed
    assert counted.of(names.PROCESS, names.DESTINATION) == consumed
    assert counted.of(names.PROCESS, names.SYSTEM, names.ERROR_TYPE) == {"baton/-": 3}
    assert counted.of(names.INVOKE_AGENT, names.GEN_AI_AGENT) == {"a": 1, "b": 1}
    assert counted.of(names.EXECUTE_TOOL, names.GEN_AI_TOOL, names.GEN_AI_AGENT) == {"look-up/a": 1}
    assert counted.of(names.HANDOFF, names.FROM, names.TO) == {"a/b": 1, "router/a": 1}
    assert counted.of(names.HANDOFF_LATENCY, names.FROM, names.TO) == {"a/b": 1, "router/a": 1}
    assert counted.of(names.ROUTED, names.TARGET, names.METHOD, names.HOW) == {"a/scripted/classified": 1}
    assert counted.of(names.CONFIDENCE, names.METHOD) == {"scripted": 1}
    assert counted.of(names.RUN, names.FLOW, names.ENDED_AS) == {"desk/completed": 1}
    for nothing in (names.RUN_FAILED, names.RUN_RECOVERED, names.REDELIVERIES, names.LOOP_BLOCKED, names.MALFORMED):
        assert not counted.of(nothing), nothing.name


async def test_a_run_that_is_not_traced_is_counted_alike(counted: Counted) -> None:
    async with serve(pair(), meter=counted.meter, sampler=lambda trace_id: False) as served:
        await served.send("hello")
        await until(lambda: counted.of(names.RUN))
        assert not served.spans
    assert counted.of(names.HANDOFF, names.FROM, names.TO) == {"a/b": 1, "router/a": 1}
    assert counted.of(names.EXECUTE_TOOL) == {"": 1}
    assert sum(counted.of(names.SENT).values()) == 3
    assert not counted.exemplars(names.PROCESS)


async def test_a_traced_value_has_its_span_as_example(counted: Counted) -> None:
    async with serve(pair(), meter=counted.meter) as served:
        result = await served.send("hello")
        await until(lambda: counted.of(names.RUN))
        spans = served.spans
    examples = {
        "process": names.PROCESS,
        "invoke_agent": names.INVOKE_AGENT,
        "execute_tool look-up": names.EXECUTE_TOOL,
        "publish": names.OPERATION,
        "invoke_workflow": names.RUN,
    }
    for begin, metric in examples.items():
        known = {(result.run_id, span.context.span_id) for span in spans if span.name.startswith(begin)}
        found = counted.exemplars(metric)
        assert found, metric.name
        assert found <= known, metric.name


async def test_durations_are_seconds(counted: Counted) -> None:
    async def slow(turn: Turn) -> Answer:
        with pytest.raises(TimeoutError):
            await until(lambda: False, timeout_s=0.05)
        return Answer("done")

    async with serve(alone(slow), meter=counted.meter) as served:
        await served.send("hello")
        await until(lambda: counted.of(names.RUN))
    for metric in (names.INVOKE_AGENT, names.PROCESS, names.RUN):
        assert 0.05 <= counted.sum_s(metric) < 20, metric.name


async def test_a_failed_run_is_counted_by_its_reason(counted: Counted) -> None:
    def fails(turn: Turn) -> Answer:
        raise PermanentError("no luck")

    async with serve(alone(fails), meter=counted.meter) as served:
        result = await served.send("hello")
        await until(lambda: counted.of(names.RUN))
    assert result.error is not None
    code = result.error.code
    assert counted.of(names.RUN_FAILED, names.REASON) == {code: 1}
    assert counted.of(names.RUN, names.ENDED_AS) == {"failed": 1}
    assert counted.of(names.INVOKE_AGENT, names.ERROR_TYPE) == {code: 1}
    assert counted.of(names.PROCESS, names.ERROR_TYPE) == {"-": 1, code: 1}


@pytest.mark.parametrize("is_traced", [True, False])
async def test_a_run_that_ends_in_no_workers_hands_is_counted_once(counted: Counted, is_traced: bool) -> None:
    team = alone(lambda turn: Ask("which?", deadline_s=0.05))
    async with serve(team, meter=counted.meter, sampler=lambda _: is_traced) as served:
        run = await served.start("hello")
        result = await run.result(through_waits=True)
        await until(lambda: counted.of(names.RUN))
    assert result.error is not None
    assert counted.of(names.RUN, names.ENDED_AS) == {"failed": 1}
    assert counted.of(names.RUN_FAILED, names.REASON) == {result.error.code: 1}
    assert 0.05 <= counted.sum_s(names.RUN) < 20
    assert bool(counted.exemplars(names.RUN)) == is_traced


@pytest.mark.parametrize("is_traced", [True, False])
async def test_a_retry_is_an_attempt_that_recovers(counted: Counted, is_traced: bool) -> None:
    def second_time(turn: Turn) -> Answer:
        if turn.attempt == 1:
            raise TransientError("not now")
        return Answer("done")

    async with serve(alone(second_time), meter=counted.meter, sampler=lambda _: is_traced) as served:
        await served.send("hello")
        await until(lambda: counted.of(names.RUN_RECOVERED))
        await until(lambda: counted.of(names.RUN))
    assert counted.of(names.RUN_RECOVERED, names.CAUSE) == {"retry": 1}
    assert counted.of(names.HANDOFF_LATENCY, names.TO) == {"a": 1}  # the pause before a retry is no latency
    assert counted.of(names.INVOKE_AGENT, names.ERROR_TYPE) == {"-": 1, "transient": 1}


async def test_a_reply_recovers_from_nothing(counted: Counted) -> None:
    async def approved(turn: Turn) -> Answer:
        return Answer(str((await turn.approve("go", "May I?")).granted))

    async with serve(alone(approved), meter=counted.meter) as served:
        asked = await served.send("hello")
        await served.reply(asked, decision="approve")
        await until(lambda: counted.of(names.RUN))
    assert not counted.of(names.RUN_RECOVERED)


async def test_a_lost_attempt_is_recovered_from(counted: Counted, tmp_path: Path) -> None:
    path, run_id = tmp_path / "journal.db", ids.new_run_id()
    journal = SqliteJournal(path)
    await journal.start(serves=True)
    await journal.accept(Accept(run_id=run_id, tenant="default", request=Request.of({"text": "hello"})))
    assert await journal.claim(ClaimCommand(run_id, 0, "router", ids.new_id(), "gone", 30.0, 6)) is not None
    await journal.close()
    async with serve(alone(lambda turn: Answer("done")), journal=path, meter=counted.meter):
        await until(lambda: counted.of(names.RUN_RECOVERED))
    assert counted.of(names.RUN_RECOVERED, names.CAUSE) == {"lost": 1}


async def test_what_a_stopping_process_hands_back_is_recovered_by_the_next(counted: Counted, tmp_path: Path) -> None:
    path, begun = tmp_path / "journal.db", asyncio.Event()

    async def hangs(turn: Turn) -> Answer:
        begun.set()
        await asyncio.Event().wait()
        return Answer("never")

    async with serve(alone(hangs), journal=path, grace_s=0) as served:
        await served.start("hello")
        await begun.wait()
    async with serve(alone(lambda turn: Answer("done")), journal=path, meter=counted.meter):
        await until(lambda: counted.of(names.RUN))
    assert counted.of(names.RUN_RECOVERED, names.CAUSE) == {"handed_back": 1}


async def test_slots_tell_who_is_busy_while_it_is(counted: Counted) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def waits(turn: Turn) -> Answer:
        begun.set()
        await go_on.wait()
        return Answer("done")

    def slots() -> dict[str, float]:
        return counted.of(names.SLOTS, names.GEN_AI_AGENT, names.STATE)

    async with serve(alone(waits), meter=counted.meter, concurrency=4) as served:
        run = await served.start("hello")
        await begun.wait()
        assert slots() == {"a/busy": 1, "a/free": 3, "router/free": 4}
        go_on.set()
        await run.result()
        await until(lambda: slots() == {"a/free": 4, "router/free": 4})


async def test_a_route_without_scores_tells_no_confidence(counted: Counted) -> None:
    async with serve(alone(lambda turn: Answer("done")), meter=counted.meter) as served:
        await served.send("hello", to="a")
        await served.send("hello", to="nobody")
        await until(lambda: sum(counted.of(names.RUN).values()) == 2)
    assert counted.of(names.ROUTED, names.TARGET, names.HOW) == {"a/addressed": 1, "none/fallback": 1}
    assert not counted.of(names.CONFIDENCE)


async def test_contexts_that_cannot_be_read_are_counted(counted: Counted) -> None:
    async with serve(alone(lambda turn: Answer("done")), meter=counted.meter) as served:
        await served.send("hello", traceparent="00-nonsense")
        assert counted.of(names.MALFORMED) == {"": 1}
        assert not counted.of(names.UNTOLD)


async def test_no_label_tells_one_run_from_another(counted: Counted) -> None:
    async with serve(pair(), meter=counted.meter) as served:
        runs = [await served.send(text) for text in ("hello", "hallo")]
        await until(lambda: sum(counted.of(names.RUN).values()) == 2)
    values = {str(value) for _, point in counted.points() for value in point.attributes.values()}
    assert {"a", "b"} <= values
    assert not [value for value in values if re.search("[0-9a-f]{16}|4711", value)]
    assert not {run.run_id for run in runs} & values


class Redelivered:
    """A delivery that may not be the first."""

    body, message_id, headers, is_redelivered = b"", "", {}, True

    def ack(self) -> None:
        """Settle it."""


async def test_a_redelivery_is_counted_by_its_queue(counted: Counted) -> None:
    delivery: Delivery = Redelivered()
    telemetry = Telemetry(metrics=Metrics(counted.meter, system="rabbitmq", flow="desk"))
    telemetry.delivered("baton.agent.a", delivery)
    assert counted.of(names.REDELIVERIES, names.DESTINATION) == {"baton.agent.a": 1}
    assert counted.of(names.CONSUMED, names.DESTINATION, names.SYSTEM) == {"baton.agent.a/rabbitmq": 1}


async def test_a_publish_that_failed_is_counted_with_its_error(counted: Counted) -> None:
    metrics = Metrics(counted.meter, system="rabbitmq", flow="desk")
    metrics.sent("baton.work:a", 0.2, "broker_unavailable")
    assert counted.of(names.SENT, names.ERROR_TYPE) == {"broker_unavailable": 1}
    assert counted.sum_s(names.OPERATION) == pytest.approx(0.2)


def test_a_blocked_loop_is_counted_in_the_watchdogs_thread(counted: Counted) -> None:
    metrics = Metrics(counted.meter, system="baton", flow="desk")
    told = threading.Event()

    def blocked() -> None:
        metrics.blocked()
        told.set()

    async def blocks() -> None:
        watching = asyncio.create_task(Watchdog(0.02, blocked).run())
        await asyncio.sleep(0)  # noqa: TID251  # let it begin
        assert told.wait(20)
        watching.cancel()

    asyncio.run(blocks())
    assert counted.of(names.LOOP_BLOCKED) == {"": 1}


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("charge", "charge"),
        ("look-up:4711", "look-up"),
        ("send mail 3", "send mail"),
        ("refund_ORD-123", "refund_ORD"),
        ("prüfen/12", "prüfen"),
        ("4711", "step"),
    ],
)
def test_a_tool_is_called_what_its_key_begins_with(key: str, name: str) -> None:
    assert tool_name(key) == name


def every() -> Iterator[names.Metric]:
    yield from (value for value in vars(names).values() if isinstance(value, names.Metric))


def test_every_metric_has_a_unit_and_says_what_it_tells(counted: Counted) -> None:
    metrics = list(every())
    assert len({metric.name for metric in metrics}) == len(metrics) >= 18
    for metric in metrics:
        assert re.fullmatch(r"s|1|\{[a-z]+\}", metric.unit), metric.name
        assert metric.tells.endswith("."), metric.name
        assert list(metric.bounds) == sorted(set(metric.bounds)), metric.name
        assert bool(metric.bounds) == (metric.unit in ("s", "1")), metric.name
