"""One trace for a run over RabbitMQ, with every service a process of its own that exports OTLP.

In: services that serve, fail, are killed and stopped. Out: what came to a collector, against golden files.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from baton.config import Settings
from baton.remote import RemoteClient, RemoteRun
from baton.request import Result
from baton.telemetry.record import SpanRecord
from baton.testing import span_tree
from tests.e2e.faults.fleet import Fleet
from tests.e2e.faults.site import Site
from tests.e2e.faults.team import RING
from tests.support import golden
from tests.support import jaeger as jaegers
from tests.support.otlp import Sink, otlp_sink
from tests.support.servers.handles import PostgresServer, RabbitServer
from tests.support.servers.jaeger import JaegerServer
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PATIENCE_S = 60.0


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    async with otlp_sink() as sink:
        yield sink


@pytest.fixture
async def site(amqp_server: RabbitServer, postgres_server: PostgresServer, tmp_path: Path) -> AsyncIterator[Site]:
    with amqp_server.vhost() as broker_url, postgres_server.schema() as journal_url:
        site = Site(broker_url, amqp_server.management_url, journal_url, tmp_path)
        await site.prepare(RING)
        yield site


@pytest.fixture
async def fleet(site: Site, sink: Sink) -> AsyncIterator[Fleet]:
    """Give the ring of the fault tests, serving and traced."""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    with Fleet(site, **environ) as fleet:
        for name in ("router", *RING):
            fleet.start(name)
        await fleet.ready()
        yield fleet


@pytest.fixture
async def client(site: Site) -> AsyncIterator[RemoteClient]:
    async with RemoteClient.opened(Settings(broker_url=site.broker_url)) as client:
        yield client


async def ended(client: RemoteClient, text: str) -> Result:
    run = await client.send(text, to="first")
    return await _through_waits(run)


async def _through_waits(run: RemoteRun) -> Result:
    result = await run.result(timeout_s=PATIENCE_S)
    while result.status == "waiting":
        await run.reply("yes")
        result = await run.result(timeout_s=PATIENCE_S)
    return result


async def spans_of(sink: Sink, run_id: str) -> list[SpanRecord]:
    """Return the spans of a run that has ended: its root came, and so did every parent and every link."""

    def is_whole() -> bool:
        spans = sink.of(run_id)
        known = {span.context.span_id for span in spans}
        named = {span.parent_id for span in spans} | {link.span_id for span in spans for link in span.links}
        return sink.has_root(run_id) and named - {None} <= known and any("results" in span.name for span in spans)

    await until(is_whole, timeout_s=PATIENCE_S, what=f"the whole trace of {run_id}")
    return sink.of(run_id)


async def check(name: str, sink: Sink, run_id: str, *, attributes: bool = False) -> None:
    """Compare a trace with a golden file, as soon as they are equal: what nobody names may come last."""

    def tree() -> str:
        return span_tree(sink.of(run_id), attributes=attributes)

    with contextlib.suppress(TimeoutError):
        await until(lambda: golden.matches(name, tree()))
    golden.check(name, tree())


async def test_every_kind_of_run_is_one_connected_trace(fleet: Fleet, sink: Sink, client: RemoteClient) -> None:
    for name, text in (
        ("chain", "places:3"),
        ("retry", "places:1 retry@1"),
        ("failed", "places:2 fail@2"),
        ("ask", "places:1 ask@1"),
    ):
        result = await ended(client, text)
        await spans_of(sink, result.run_id)
        await check(f"traces/amqp-{name}.txt", sink, result.run_id, attributes=True)
    assert {sink.services[span.context.span_id] for span in sink.spans} == {"router", *RING}


async def test_a_killed_worker_leaves_an_attempt_that_is_told(
    fleet: Fleet, site: Site, sink: Sink, client: RemoteClient
) -> None:
    fleet.start("second-2")
    await fleet.ready("second-2")
    run = await client.send("places:2 hold@2:gate", to="first")
    # Only once its first step is recorded: then it waits for the gate.
    marker = "SELECT owner FROM hops JOIN steps USING (run_id, seq) WHERE agent = 'second' AND hops.status = 'running'"
    owner = await until(lambda: _value(site, marker), timeout_s=PATIENCE_S)
    held = next(one for one in fleet if str(owner).endswith(f":{one.pid}"))
    held.kill()
    (site.folder / "gate").touch()
    result = await run.result(timeout_s=PATIENCE_S)
    await spans_of(sink, result.run_id)
    await check("traces/amqp-lost.txt", sink, result.run_id)


async def test_a_stop_loses_no_span(fleet: Fleet, site: Site, sink: Sink, client: RemoteClient) -> None:
    await ended(client, "places:1")
    slow = {"OTEL_BSP_SCHEDULE_DELAY": "3600000"}
    for name in RING:
        fleet.drop(name)
        fleet.start(name, **slow)
    await fleet.ready()
    results = await asyncio.gather(*(ended(client, "places:3") for _ in range(10)))
    for name in RING:
        fleet[name].terminate()
        assert await fleet[name].exited(timeout_s=PATIENCE_S) == 0
    for result in results:
        await spans_of(sink, result.run_id)


async def test_clocks_minutes_apart_give_one_trace_in_order(
    fleet: Fleet, site: Site, sink: Sink, client: RemoteClient
) -> None:
    for name, ahead_s in (("first", 600), ("second", -600)):
        (folder := site.folder / name).mkdir()
        shifted = f"import time\nreal = time.time\ntime.time = lambda: real() + {ahead_s}\n"
        (folder / "sitecustomize.py").write_text(shifted)
        fleet.drop(name)
        fleet.start(name, PYTHONPATH=str(folder))
    await fleet.ready()
    result = await ended(client, "places:3")
    spans = await spans_of(sink, result.run_id)
    root = next(span for span in spans if span.parent_id is None)
    assert all(abs(span.start_at - root.start_at) < 60 and abs(span.end_at - root.start_at) < 60 for span in spans)
    hops = sorted((span.start_at, span.name) for span in spans if span.kind == "consumer")
    assert [name.rpartition(".")[2] for _, name in hops] == ["requests", "first", "second", "third"]


@pytest.mark.parametrize("trouble", ["down", "refuses", "silent"])
async def test_work_goes_on_while_nobody_takes_spans(
    trouble: str, fleet: Fleet, site: Site, sink: Sink, client: RemoteClient
) -> None:
    gone = "http://127.0.0.1:9" if trouble == "down" else sink.url
    sink.status, sink.is_silent = 503, trouble == "silent"
    fleet.drop("first")
    process = fleet.start("first", OTEL_EXPORTER_OTLP_ENDPOINT=gone, OTEL_EXPORTER_OTLP_TIMEOUT="1")
    await fleet.ready("first")
    for _ in range(5):
        assert (await ended(client, "places:1")).status == "completed"
    await until(lambda: "spans cannot be exported" in process.output, timeout_s=PATIENCE_S)
    assert (await ended(client, "places:1")).status == "completed"
    process.send(signal.SIGTERM)
    assert await process.exited(timeout_s=PATIENCE_S) == 0
    assert process.output.count("spans cannot be exported") == 1
    assert "Traceback" not in process.output


async def test_a_real_jaeger_finds_a_run_with_every_service_in_it(
    jaeger: JaegerServer, site: Site, client: RemoteClient
) -> None:
    with Fleet(site, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{jaeger.otlp_url}/v1/traces") as fleet:
        for name in ("router", *RING):
            fleet.start(name)
        await fleet.ready()
        result = await ended(client, "places:3")
    run_id = result.run_id

    def shown() -> set[str]:
        return {span.service for span in jaegers.spans_of(jaeger.query_url, run_id)}

    await until(lambda: asyncio.to_thread(lambda: shown() == {"router", *RING}), timeout_s=PATIENCE_S)
    spans = jaegers.spans_of(jaeger.query_url, run_id)
    assert [span.name for span in spans if not span.parent_id] == ["invoke_workflow faults"]
    assert {warning for span in spans for warning in span.warnings} == set()
    assert jaegers.traces_with(jaeger.query_url, "baton.run.id", run_id, service="first") == {run_id}


async def _value(site: Site, sql: str) -> object:
    import asyncpg

    connection = await asyncpg.connect(site.journal_url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()
