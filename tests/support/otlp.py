"""A place that takes spans over OTLP/HTTP, as a collector would, and keeps them for the test.

In: what services export. Out: `SpanRecord`s, each with the service that sent it.
"""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from baton.propagation import TraceContext
from baton.telemetry import names
from baton.telemetry.record import Kind, SpanRecord

KINDS: dict[int, Kind] = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}


@dataclass
class Sink:
    """What came."""

    url: str = ""
    spans: list[SpanRecord] = field(default_factory=list)
    services: dict[str, str] = field(default_factory=dict)
    """`service.name` by span id."""
    status: int = 200
    """What is answered; 503: nothing is kept."""
    is_silent: bool = False
    """True: it takes requests and never answers."""
    requests: int = 0

    def of(self, run_id: str) -> list[SpanRecord]:
        """Return the spans of one run."""
        return [span for span in self.spans if span.context.trace_id == run_id]

    def has_root(self, run_id: str) -> bool:
        """Return True once the root span of a run has come."""
        return any(span.name.startswith("invoke_workflow") for span in self.of(run_id))

    async def take(self, request: web.Request) -> web.Response:
        """Take an export."""
        self.requests += 1
        if self.is_silent:
            await asyncio.Event().wait()
        if self.status != 200:
            return web.Response(status=self.status)
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip" and body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = _values(resource.resource.attributes).get(names.SERVICE_NAME, "")
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.append(_record(span))
                    self.services[span.span_id.hex()] = service
        return web.Response(content_type="application/x-protobuf")


@asynccontextmanager
async def otlp_sink() -> AsyncIterator[Sink]:
    """Listen on a port of its own for as long as the block runs."""
    sink = Sink()
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/traces", sink.take)
    app.router.add_post("/v1/metrics", _ignore)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sink.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield sink
    finally:
        await runner.cleanup()


async def _ignore(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(content_type="application/x-protobuf")


def _record(span: Span) -> SpanRecord:
    trace_id = span.trace_id.hex()
    return SpanRecord(
        span.name,
        KINDS[span.kind],
        TraceContext(trace_id, span.span_id.hex()),
        span.parent_span_id.hex() or None,
        span.start_time_unix_nano / 1e9,
        span.end_time_unix_nano / 1e9,
        _values(span.attributes),
        links=tuple(TraceContext(link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        error=span.status.message if span.status.code == span.status.STATUS_CODE_ERROR else None,
    )


def _values(attributes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    one: KeyValue
    for one in attributes:
        value: AnyValue = one.value
        found[one.key] = getattr(value, value.WhichOneof("value") or "string_value")
    return found
