"""Metrics as they leave a process: the page that Prometheus reads, and what a collector is sent."""

import asyncio
import contextlib
import http.server
import logging
import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from baton import Answer, Handoff, Team
from baton.broker.memory import MemoryBroker
from baton.config import Settings
from baton.errors import ConfigError
from baton.journal.sqlite.journal import SqliteJournal
from baton.propagation import TraceContext
from baton.service import Service, serving
from baton.telemetry.record import SpanRecord
from baton.telemetry.setup import open_output
from tests.support.cli import PATIENCE_S, TEAM
from tests.support.teams import a_team, an_agent
from tests.support.waiting import until


@pytest.fixture(autouse=True)
def no_otel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin without any `OTEL_*` of this machine's."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


def team() -> Team:
    handing = an_agent("a", lambda turn: Handoff("b", reason="yours"))
    return a_team(handing >> an_agent("b", lambda turn: Answer("done")))


def served(folder: Path, **settings: Any) -> contextlib.AbstractAsyncContextManager[Service]:
    journal = SqliteJournal(folder / "journal.db")
    return serving(team(), Settings(poll_s=0.05, **settings), journal=journal, broker=MemoryBroker())


async def get(port: int, path: str = "/metrics") -> tuple[int, str, str]:
    """Return status, content type and text of a page."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, answer.headers["Content-Type"], await answer.text()


def samples(page: str) -> dict[str, float]:
    """Return the values of a page by name and labels."""
    return {
        f"{one.name}{{{','.join(f'{k}={v}' for k, v in sorted(one.labels.items()))}}}": one.value
        for family in text_string_to_metric_families(page)
        for one in family.samples
    }


async def test_prometheus_reads_a_page_where_the_health_port_is_set(tmp_path: Path) -> None:
    async with served(tmp_path, health_port=0) as service:
        assert service.health_port
        await (await service.client.send("hello")).result()

        async def page() -> dict[str, float] | None:
            status, kind, text = await get(service.health_port or 0)
            assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
            found = samples(text)
            return found if "baton_run_duration_seconds_count{flow=desk,outcome=completed}" in found else None

        found = await until(page)
    assert found["baton_handoff_count_total{from=a,to=b}"] == 1
    assert found["baton_run_duration_seconds_bucket{flow=desk,le=+Inf,outcome=completed}"] == 1
    assert found["baton_consumer_slots{gen_ai_agent_name=a,state=free}"] == 16
    assert found["baton_loop_blocked_total{}"] == 0
    assert found["process_resident_memory_bytes{}"] > 1_000_000
    assert [name for name in found if name.startswith("target_info") and "service_name=desk" in name]


async def test_two_may_read_the_page_at_once(tmp_path: Path) -> None:
    async with served(tmp_path, health_port=0) as service:
        pages = await asyncio.gather(*(get(service.health_port or 0) for _ in range(8)))
    for _, _, page in pages:
        assert page.count("# TYPE baton_loop_blocked_total counter") == 1


@pytest.mark.parametrize("off", [{"OTEL_METRICS_EXPORTER": "none"}, {"OTEL_SDK_DISABLED": "true"}])
async def test_there_is_no_page_where_metrics_are_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, off: dict[str, str]
) -> None:
    for name, value in off.items():
        monkeypatch.setenv(name, value)
    async with served(tmp_path, health_port=0) as service:
        assert (await get(service.health_port or 0))[0] == 404
        assert (await get(service.health_port or 0, "/healthz"))[0] == 200


async def test_without_endpoint_and_port_nothing_is_counted(tmp_path: Path) -> None:
    async with served(tmp_path) as service:
        assert service.health_port is None
        assert service._telemetry.metrics is None
    assert open_output({}, service="desk") is None


async def test_a_mistake_keeps_the_process_from_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "jaeger")
    with pytest.raises(ConfigError, match="OTEL_METRICS_EXPORTER is 'jaeger'"):
        async with served(tmp_path):
            pytest.fail("it started")


class Collector(http.server.ThreadingHTTPServer):
    """Takes metrics, or refuses them."""

    def __init__(self) -> None:
        self.taken: list[ExportMetricsServiceRequest] = []
        self.status = 200
        super().__init__(("127.0.0.1", 0), Taker)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1/metrics"

    def names(self) -> set[str]:
        return {
            metric.name
            for request in self.taken
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


class Taker(http.server.BaseHTTPRequestHandler):
    """Answers the collector's clients."""

    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.status == 200:
            self.server.taken.append(ExportMetricsServiceRequest.FromString(body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def test_a_collector_gets_metrics_and_at_the_latest_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collector: Collector
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", collector.url)
    async with served(tmp_path) as service:
        await (await service.client.send("hello")).result()
        await until(lambda: service._telemetry.metrics is not None)
    assert {"messaging.process.duration", "baton.handoff.count", "baton.run.duration"} <= collector.names()
    resource = collector.taken[0].resource_metrics[0].resource
    assert {"desk"} == {one.value.string_value for one in resource.attributes if one.key == "service.name"}


async def test_an_outage_is_told_once_and_its_end_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    def told() -> list[str]:
        return [record.message for record in caplog.records if "exported" in record.message]

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "20")
    collector.status = 404
    with caplog.at_level(logging.WARNING, logger="baton"):
        async with served(tmp_path):
            await until(told)
            collector.status = 200
            await until(lambda: collector.taken)
            await until(lambda: len(told()) == 2)
    assert [line.split(" (")[0] for line in told()] == ["metrics cannot be exported", "metrics are exported again"]


async def test_spans_that_are_dropped_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "2")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes a connection, and says nothing
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1/traces"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url)
        output = open_output(os.environ, service="desk", has_page=True)
        assert output is not None
        assert output.sink is not None
        assert output.page is not None
        for span in spans(50):
            output.sink(span)
        found = samples(output.page().decode())
    dropped = [
        name for name in found if name.startswith("otel_sdk_processor_span_processed_total{error_type=queue_full")
    ]
    assert dropped
    assert found[dropped[0]] >= 40


def spans(count: int) -> Iterator[SpanRecord]:
    for number in range(1, count + 1):
        yield SpanRecord("work", "internal", TraceContext(f"{number:032x}", f"{number:016x}"), None, 1.0, 2.0)


async def test_a_served_process_has_the_page(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = {
        "BATON_JOURNAL_URL": f"sqlite:///{tmp_path}/journal.db",
        "BATON_HEALTH_PORT": str(port),
        "PATH": "/usr/bin:/bin",
    }
    command = (sys.executable, "-m", "baton", "run", str(TEAM))
    process = await asyncio.create_subprocess_exec(
        *command, env=environ, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert b"serving" in await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
        status, _, page = await get(port)
        assert status == 200
        assert samples(page)["baton_consumer_slots{gen_ai_agent_name=front,state=free}"] == 16
    finally:
        process.terminate()
        await asyncio.wait_for(process.communicate(), PATIENCE_S)
