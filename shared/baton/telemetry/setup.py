"""The one place that knows the OpenTelemetry SDK: where spans and metrics go, decided by `OTEL_*` as everywhere.

In: the environment. Out: a sink for spans, a sampler, a meter, a page for Prometheus, and a flush at the end. With
neither an endpoint nor a port for the page nothing is imported.
"""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from baton.telemetry import environment, names
from baton.telemetry.record import SpanRecord
from baton.telemetry.telling import Sampler, Sink, Style, Telemetry, always

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricExporter, MetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

logger = logging.getLogger("baton")

QUEUE_SPANS = 16_384
"""Spans that wait for their export, unless `OTEL_BSP_MAX_QUEUE_SIZE` says otherwise: 4 s at 1,000 hops/s."""
FLUSH_S = 5.0
"""How long a process that stops waits for its last spans and metrics to be taken, in seconds."""


@dataclass(frozen=True, slots=True)
class Output:
    """Where spans and metrics go."""

    sink: Sink | None
    """Takes spans; None: they go nowhere."""
    sampler: Sampler
    close: Callable[[], None]
    """Export what is left, within `FLUSH_S`, and stop; blocks."""
    meter: "Meter | None" = None
    """Makes instruments; None: nothing is counted."""
    page: Callable[[], bytes] | None = None
    """Returns the page that Prometheus reads, in its text format 0.0.4; may take a while. None: there is none."""


def telling_to(output: Output | None, *, system: str, flow: str, style: Style) -> Telemetry:
    """Return what tells by an output what its process does.

    Args:
        output: None: it tells nothing.
        system: `messaging.system`.
        flow: The team's name.
        style: How traces are laid out.
    """
    if output is None:
        return Telemetry(system=system, flow=flow, style=style)
    metrics = None
    if output.meter is not None:
        from baton.telemetry.metrics import Metrics

        metrics = Metrics(output.meter, system=system, flow=flow)
    return Telemetry(sink=output.sink, sampler=output.sampler, system=system, flow=flow, style=style, metrics=metrics)


def open_output(environ: Mapping[str, str], *, service: str, has_page: bool = False) -> Output | None:
    """Return where this process's spans and metrics go; None: nowhere.

    Args:
        environ: `OTEL_*`, as the SDK reads them.
        service: `service.name`, unless `OTEL_SERVICE_NAME` says another.
        has_page: Whether the page for Prometheus has a port.

    Raises:
        ConfigError: A variable has a value that is not known.
    """
    environment.check(environ, has_page=has_page)
    name = environment.exporter_name(environ)
    exporters = environment.metric_exporters(environ, has_page=has_page)
    if name == "none" and not exporters:
        return None
    resource = _resource(environ, service)
    meters, page = _meters(environ, exporters, resource) if exporters else (None, None)
    meter = meters.get_meter(names.SCOPE, schema_url=names.SCHEMA_URL) if meters else None
    if name == "none":
        return Output(None, always, lambda: _close(meters), meter, page)
    tracers, sink = _tracers(environ, name, resource, meters)
    return Output(sink, _sampler(tracers), lambda: _close(tracers, meters), meter, page)


def _tracers(
    environ: Mapping[str, str], name: str, resource: "Resource", meters: "MeterProvider | None"
) -> "tuple[TracerProvider, Sink]":
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    size = None if "OTEL_BSP_MAX_QUEUE_SIZE" in environ else QUEUE_SPANS
    with _measured() if meters else contextlib.nullcontext():
        exporter = _told(_exporter(name, environment.protocol(environ, "TRACES")), "spans")
        processor = BatchSpanProcessor(exporter, max_queue_size=size, meter_provider=meters)
    provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)  # what a turn's libraries trace goes the same way
    readable = _reader(resource)
    return provider, lambda span: processor.on_end(readable(span))


def _meters(
    environ: Mapping[str, str], exporters: Sequence[str], resource: "Resource"
) -> "tuple[MeterProvider, Callable[[], bytes] | None]":
    from opentelemetry import metrics
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    readers: list[MetricReader] = [
        PeriodicExportingMetricReader(
            _told(_metric_exporter(name, environment.protocol(environ, "METRICS")), "metrics")
        )
        for name in exporters
        if name != "prometheus"
    ]
    page = None
    if "prometheus" in exporters:
        reader, page = _page()
        readers.append(reader)
    provider = MeterProvider(readers, resource, shutdown_on_exit=False)
    metrics.set_meter_provider(provider)  # what a turn's libraries count goes the same way
    return provider, page


def _page() -> "tuple[MetricReader, Callable[[], bytes]]":
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

    registry, lock = CollectorRegistry(), threading.Lock()
    ProcessCollector(registry=registry)

    def page() -> bytes:
        with lock:  # two looks at once would share what each of them collects
            return generate_latest(registry)

    return PrometheusMetricReader(scope_info_enabled=False, registry=registry), page


@contextlib.contextmanager
def _measured() -> Iterator[None]:
    """Have what is made in the block count its own spans, those it drops above all; the SDK asks this variable."""
    name = "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED"
    if name in os.environ:
        yield
        return
    os.environ[name] = "true"
    try:
        yield
    finally:
        del os.environ[name]


def _resource(environ: Mapping[str, str], service: str) -> "Resource":
    from opentelemetry.sdk.resources import Resource

    class OneResource(Resource):
        """The process's: every span of a batch is looked up by it, and its own hash encodes it as JSON."""

        def __hash__(self) -> int:
            return id(self)

        def __eq__(self, other: object) -> bool:
            return self is other

    is_named = "OTEL_SERVICE_NAME" in environ or "service.name" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    found = Resource.create({} if is_named else {names.SERVICE_NAME: service})
    return OneResource(found.attributes, found.schema_url)


def _exporter(name: str, protocol: str) -> "SpanExporter":
    if name == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc

        return grpc.OTLPSpanExporter()
    from opentelemetry.exporter.otlp.proto.http import trace_exporter as http

    return http.OTLPSpanExporter()


def _metric_exporter(name: str, protocol: str) -> "MetricExporter":
    if name == "console":
        from opentelemetry.sdk.metrics.export import ConsoleMetricExporter

        return ConsoleMetricExporter()
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc import metric_exporter as grpc

        return grpc.OTLPMetricExporter()
    from opentelemetry.exporter.otlp.proto.http import metric_exporter as http

    return http.OTLPMetricExporter()


def _told(exporter: Any, what: str) -> Any:
    """Return an exporter that says once that nobody takes what it exports, and once that somebody does again."""
    for noisy in ("opentelemetry.exporter", "opentelemetry.sdk._shared_internal"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    export, is_failing = exporter.export, False

    def told(*args: Any, **options: Any) -> Any:
        nonlocal is_failing
        result = export(*args, **options)
        if (result.name != "SUCCESS") != is_failing:
            is_failing = not is_failing
            if is_failing:
                logger.warning("%s cannot be exported (OTEL_EXPORTER_OTLP_*); work goes on without them", what)
            else:
                logger.warning("%s are exported again", what)
        return result

    exporter.export = told
    return exporter


def _sampler(provider: "TracerProvider") -> Sampler:
    """Return the SDK's choice (`OTEL_TRACES_SAMPLER`), which depends on the trace's id alone."""
    from opentelemetry.sdk.trace.sampling import Decision

    def is_sampled(trace_id: str) -> bool:
        decision = provider.sampler.should_sample(None, int(trace_id, 16), "invoke_workflow").decision
        return decision is Decision.RECORD_AND_SAMPLE

    return is_sampled


def _reader(resource: "Resource") -> "Callable[[SpanRecord], ReadableSpan]":
    """Return what makes the SDK's span of a record.

    The SDK makes spans by starting and ending them. Those of a hop are known only when it is over, with ids that are
    computed, so they are given to its processor as it would have given them.
    """
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

    kinds = {kind.name.lower(): kind for kind in SpanKind}
    scope = InstrumentationScope(names.SCOPE, schema_url=names.SCHEMA_URL)
    unset, sampled = Status(StatusCode.UNSET), TraceFlags(TraceFlags.SAMPLED)

    def context(trace_id: int, span_id: str) -> SpanContext:
        return SpanContext(trace_id, int(span_id, 16), is_remote=False, trace_flags=sampled)

    def nanos(at: float) -> int:
        return int(at * 1e9)

    def readable(span: SpanRecord) -> ReadableSpan:
        trace_id = int(span.context.trace_id, 16)
        links = [Link(context(int(one.trace_id, 16), one.span_id)) for one in span.links]
        return ReadableSpan(
            span.name,
            context(trace_id, span.context.span_id),
            parent=None if span.parent_id is None else context(trace_id, span.parent_id),
            resource=resource,
            attributes=dict(span.attributes),
            events=[Event(one.name, dict(one.attributes), nanos(one.at)) for one in span.events],
            links=links,
            kind=kinds[span.kind],
            status=unset if span.error is None else Status(StatusCode.ERROR, span.error),
            start_time=nanos(span.start_at),
            end_time=nanos(span.end_at),
            instrumentation_scope=scope,
        )

    return readable


def _close(*providers: "TracerProvider | MeterProvider | None") -> None:
    until = time.monotonic() + FLUSH_S
    # In threads: an endpoint that is away must not hold us up.
    ending = [threading.Thread(target=provider.shutdown, daemon=True) for provider in providers if provider]
    for thread in ending:
        thread.start()
    for thread in ending:
        thread.join(max(0.0, until - time.monotonic()))
