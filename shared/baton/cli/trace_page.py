"""`baton trace`: a run as a waterfall, and where its time went.

In: a picture. Out: lines, or one JSON object.
"""

from typing import Any

from baton.cli import printing
from baton.cli.axis import Axis, elapsed
from baton.cli.printing import clean, fields, say, shortened
from baton.telemetry import waterfall
from baton.telemetry.record import SpanRecord
from baton.telemetry.waterfall import Line, Picture, Spent

_BARS: dict[Spent, str] = {"tool": "▓", "wait": "▒", "retry": "▒", "queue": "░", "other": "░"}
_LEGEND = "█ work  ▓ tool, handoff  ▒ wait, retry, lost  ░ queue  ╌ cut  ▶ goes on  ! failed"
_TIME_COLUMNS = 12
_LABEL_SHARE = 0.45
"""Most of the width that labels take."""
_BAR_COLUMNS_MIN = 10
_SHOWN_SHARE = 0.01
"""What is left over is shown from this share of the run's duration on."""


def as_json(picture: Picture) -> dict[str, Any]:
    """Return a run's spans, and where its time went, in seconds."""
    times = waterfall.spent_s(picture.stretches)
    return {
        "run_id": picture.run.run_id,
        "trace_id": picture.rebuilt.facts.root.trace_id,
        "status": picture.run.status,
        "spans": [{**_span_as_json(span), "goes_on": is_open} for span, is_open in picture.spans],
        "time": {
            "total_s": picture.end_at - picture.run.accepted_at,
            **{f"{spent}_s": took_s for spent, took_s in times.items()},
        },
    }


def show(picture: Picture, *, width: int) -> None:
    """Print a run's waterfall, at most `width` columns wide where that leaves room for a bar."""
    run, trace_id = picture.run, picture.rebuilt.facts.root.trace_id
    at = f" by {run.agent}" if run.agent and run.ended_at else f" at {run.agent}" if run.agent else ""
    since = "in" if run.ended_at else "for"
    fields(
        {
            "run": run.run_id,
            "status": f"{run.status}{at} {since} {elapsed(picture.end_at - run.accepted_at)}",
            "accepted": printing.moment(run.accepted_at),
            "trace": trace_id if trace_id != run.run_id else None,
        }
    )
    say()
    for text in drawn(picture, width):
        say(text)
    say()
    say(_LEGEND)
    say(printing.wrapped(where(picture)))


def drawn(picture: Picture, width: int) -> list[str]:
    """Return the waterfall's lines: what, when it began after the run's acceptance, how long it took, and its bar."""
    lines = picture.lines
    labels = [_label(line) for line in lines]
    label_width = min(max(map(len, labels)), round(width * _LABEL_SHARE))
    axis = Axis.of(picture.stretches, max(_BAR_COLUMNS_MIN, width - label_width - 2 * _TIME_COLUMNS - 2))
    head = f"{'':<{label_width}}{'start':>{_TIME_COLUMNS}}{'took':>{_TIME_COLUMNS}}"
    return [
        head,
        *(
            f"{shortened_label(label, label_width)}{elapsed(line.start_at - picture.run.accepted_at):>{_TIME_COLUMNS}}"
            f"{elapsed(line.end_at - line.start_at):>{_TIME_COLUMNS}}  {_bar(line, axis)}".rstrip()
            for line, label in zip(lines, labels, strict=True)
        ),
    ]


def where(picture: Picture) -> str:
    """Return where the run's time went, in words."""
    times = waterfall.spent_s(picture.stretches)
    total_s = picture.end_at - picture.run.accepted_at
    told = [
        f"{spent} {elapsed(took_s)}"
        for spent, took_s in times.items()
        if took_s > 0 and (spent != "other" or took_s >= _SHOWN_SHARE * total_s)
    ]
    return f"where the time went: {' · '.join(told) or 'nowhere yet'}"


def shortened_label(label: str, width: int) -> str:
    """Return a label in as many columns as there are, its indent kept."""
    indent = len(label) - len(label.lstrip())
    return (" " * indent + shortened(label, max(width - indent, 1))).ljust(width)[:width]


def _label(line: Line) -> str:
    mark = f" ! {line.error}" if line.error else ""
    return "  " * line.depth + clean(line.label) + mark


def _bar(line: Line, axis: Axis) -> str:
    cells = [" "] * axis.width
    fill = _BARS.get(line.spent, "█")
    if line.due_at is not None and line.due_at < line.start_at:
        _paint(cells, axis, line.due_at, line.start_at, fill=_BARS["queue"], is_labelled=True)
    _paint(cells, axis, line.start_at, line.end_at, fill=fill, is_labelled=fill not in "█▓")
    if line.is_open:
        cells[axis.columns(line.start_at, line.end_at)[1] - 1] = "▶"
    return "".join(cells)


def _paint(cells: list[str], axis: Axis, start_at: float, end_at: float, *, fill: str, is_labelled: bool) -> None:
    """Fill the columns of a time; where the axis is cut, say so, or how long it was."""
    first, after = axis.columns(start_at, end_at)
    cells[first:after] = fill * (after - first)
    for cut in axis.cuts(start_at, end_at):
        begins, ends = axis.columns(cut.start_at, cut.end_at)
        cells[begins:ends] = (cut.label if is_labelled else "╌" * len(cut.label)).ljust(ends - begins)[: ends - begins]


def _span_as_json(span: SpanRecord) -> dict[str, Any]:
    return {
        "name": span.name,
        "kind": span.kind,
        "trace_id": span.context.trace_id,
        "span_id": span.context.span_id,
        "parent_id": span.parent_id,
        "start_at": span.start_at,
        "end_at": span.end_at,
        "attributes": dict(span.attributes),
        "links": [{"trace_id": link.trace_id, "span_id": link.span_id} for link in span.links],
        "error": span.error,
    }
