"""Spans in tests: what a served team told, as a tree that can be compared.

In: spans, from `Served.spans`. Out: text, one line a span, the same on every run.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from baton.telemetry import names
from baton.telemetry.record import SpanRecord
from baton.telemetry.setup import Output
from baton.telemetry.telling import always

VOLATILE = frozenset(
    {
        names.RUN_ID,
        names.GEN_AI_CONVERSATION,
        names.MESSAGE_ID,
        names.MESSAGE_BYTES,
        names.QUEUE_MS,
        names.PAUSE_ID,
        names.RETRY_DELAY_MS,
        names.HANDOFF_BYTES,
        names.ROUTE_SCORE,
        names.ROUTE_MARGIN,
    }
)
"""Attributes whose values differ from run to run: only that they are there is told."""


def collecting(spans: list[SpanRecord], sampler: Callable[[str], bool] = always) -> Output:
    """Return an output that appends to `spans`."""
    return Output(spans.append, sampler, lambda: None)


def span_tree(spans: Iterable[SpanRecord], *, attributes: bool = False) -> str:
    """Return spans as a tree: names, kinds, links and errors; children in the order of their start.

    Args:
        spans: Of one trace or several; the order does not matter.
        attributes: True: each span's attributes, too; those of `VOLATILE` without their values.

    Returns:
        Lines such as `process baton.agent.cards (consumer) ~ publish baton.work:cards`, where `~` begins the links,
        `!` an error, and a link to a span that is not among these is `outside`. A span whose parent is missing is
        marked `orphan`.
    """
    known = sorted(spans, key=lambda span: (span.start_at, span.end_at, span.name))
    by_id = {span.context.span_id: span for span in known}
    lines: list[str] = []
    for top in known:
        if top.parent_id is None or top.parent_id not in by_id:
            mark = "" if top.parent_id is None else "orphan: "
            lines += _lines(top, known, by_id, attributes=attributes, mark=mark)
    return "\n".join(lines) + "\n"


def _lines(
    span: SpanRecord,
    known: Sequence[SpanRecord],
    by_id: Mapping[str, SpanRecord],
    *,
    attributes: bool,
    mark: str = "",
    depth: int = 0,
) -> Iterator[str]:
    indent = "  " * depth
    links = "".join(f" ~ {by_id[one.span_id].name if one.span_id in by_id else 'outside'}" for one in span.links)
    error = "" if span.error is None else f" ! {span.attributes.get(names.ERROR_TYPE, 'error')}"
    yield f"{indent}{mark}{span.name} ({span.kind}){links}{error}"
    if attributes:
        for name, value in sorted(span.attributes.items()):
            yield f"{indent}    {name}{'' if name in VOLATILE else f' = {_shown(value)}'}"
    for child in known:
        if child.parent_id == span.context.span_id:
            yield from _lines(child, known, by_id, attributes=attributes, depth=depth + 1)


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
