"""What Jaeger shows of a trace, asked for through its query API.

In: the URL of a Jaeger, a trace id or a tag. Out: `Span`s with their links, and trace ids. Nothing waits here: spans
arrive when their exporter sends them, so ask `until` they are there.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

ANSWER_S = 10.0
LAST_US = 4_102_444_800_000_000
"""The year 2100, in microseconds: a search without an end would leave out spans of a clock that is ahead."""
MOST_TRACES = 1_000

WARNINGS = "@jaeger@warnings"
"""The attribute under which the API carries them."""
KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
ERROR = 2


@dataclass(frozen=True)
class Link:
    """From a span to another that caused it."""

    trace_id: str
    span_id: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Span:
    """A span, as Jaeger has it."""

    name: str
    service: str
    span_id: str
    """16 hex digits."""
    parent_id: str = ""
    """16 hex digits; empty for a root."""
    kind: str = "internal"
    """One of `KINDS`."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    links: tuple[Link, ...] = ()
    is_error: bool = False
    warnings: tuple[str, ...] = ()
    """What Jaeger objects to: a parent that it never got, a child that begins after its parent ended, …"""


def send(otlp_url: str, resource_spans: Sequence[Mapping[str, Any]]) -> None:
    """Send spans, written as OTLP's JSON."""
    body = json.dumps({"resourceSpans": resource_spans}).encode()
    headers = {"Content-Type": "application/json"}
    _open(urllib.request.Request(f"{otlp_url}/v1/traces", body, headers, method="POST"))


def spans_of(query_url: str, trace_id: str) -> list[Span]:
    """Return the spans of a trace, the earliest first; empty if Jaeger has none."""
    try:
        found = json.loads(_open(f"{query_url}/api/v3/traces/{trace_id}"))["result"]["resourceSpans"]
    except urllib.error.HTTPError as problem:
        with problem:
            if problem.code == 404:
                return []
        raise
    spans = [
        (service, span)
        for resource in found
        for service in [_values(resource["resource"].get("attributes", ())).get("service.name", "")]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    return [_span(service, span) for service, span in sorted(spans, key=lambda one: int(one[1]["startTimeUnixNano"]))]


def traces_with(query_url: str, tag: str, value: str, *, service: str) -> set[str]:
    """Return the ids of the traces in which a span of a service has a tag, as the UI's search form finds them."""
    query = {"service": service, "tags": json.dumps({tag: value}), "start": 0, "end": LAST_US, "limit": MOST_TRACES}
    # API v3 of this version searches by service and time only, and says nothing about a tag it leaves out.
    found = json.loads(_open(f"{query_url}/api/traces?{urlencode(query)}"))["data"]
    return {trace["traceID"] for trace in found}


def page(query_url: str) -> str:
    """Return the page that carries the UI, with the configuration that Jaeger writes into it."""
    return _open(f"{query_url}/search").decode()


def _open(request: str | urllib.request.Request) -> bytes:
    # A proxy of the environment must not see a call to this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=ANSWER_S) as answer:
        body: bytes = answer.read()
    return body


def _span(service: str, span: Mapping[str, Any]) -> Span:
    attributes = _values(span.get("attributes", ()))
    warnings = attributes.pop(WARNINGS, ())
    return Span(
        name=span["name"],
        service=service,
        span_id=span["spanId"],
        parent_id=span.get("parentSpanId", ""),
        kind=KINDS[span.get("kind", 0)],
        attributes=attributes,
        links=tuple(
            Link(link["traceId"], link["spanId"], _values(link.get("attributes", ()))) for link in span.get("links", ())
        ),
        is_error=span.get("status", {}).get("code") == ERROR,
        warnings=tuple(warnings),
    )


def _values(attributes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {one["key"]: _value(one.get("value", {})) for one in attributes}


def _value(value: Mapping[str, Any]) -> Any:
    """Return one value of OTLP's JSON, which tells its type and writes integers as text."""
    for kind, found in value.items():
        if kind == "intValue":
            return int(found)
        if kind == "arrayValue":
            return [_value(one) for one in found.get("values", ())]
        if kind == "kvlistValue":
            return _values(found.get("values", ()))
        return found
    return None
