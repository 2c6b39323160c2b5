"""`baton trace` and `handoffs`: pictures of a run, and of who hands off to whom, from the journal alone.

In: a run, or a window of time. Out: a waterfall or a graph, as text, JSON or SVG.
"""

import time
from typing import Annotated

import typer

from baton.cli import exits, graph_page, graph_svg, opening, printing, trace_page
from baton.cli.options import JSON, RUN, since
from baton.cli.printing import say, say_json
from baton.journal.contract import Journal
from baton.journal.views import WindowFilter
from baton.telemetry import handoff_graph
from baton.telemetry.telling import Telemetry
from baton.telemetry.waterfall import Picture

_NARROWEST = 40
_FORMATS = ("text", "json", "svg")
_HOUR_S = 3600.0


def _format(text: str) -> str:
    if text not in _FORMATS:
        raise typer.BadParameter(f"{text!r} is no format; allowed are {', '.join(_FORMATS)}")
    return text


def register(app: typer.Typer) -> None:
    """Add `trace` and `handoffs` to the commands."""
    exits.add(app, "trace", trace)
    exits.add(app, "handoffs", handoffs)


async def trace(
    run: RUN,
    url: Annotated[bool, typer.Option("--url", help="Only print where Jaeger shows the trace.")] = False,
    width: Annotated[
        int | None, typer.Option("--width", min=_NARROWEST, metavar="N", help="Columns; unless set, the terminal's.")
    ] = None,
    json: JSON = False,
) -> int:
    """Draw a run as a waterfall of its spans, and tell where its time went.

    Needs the journal alone: no Jaeger, and no tracing when the run was accepted. Long waits are cut out of the
    picture. Of the time: route is the router's attempts; queue, from a hop becoming due to its claim; work, agents'
    attempts less their tools; tool, recorded steps; wait, waits for people; retry, pauses before attempts, and
    attempts whose process died; other, what is left.
    """
    async with opening.opened() as at:
        picture = await _picture(at.journal, run)
    if url:
        say(f"{at.settings.jaeger_url.rstrip('/')}/trace/{picture.rebuilt.facts.root.trace_id}")
    elif json:
        say_json(trace_page.as_json(picture))
    else:
        trace_page.show(picture, width=width or printing.terminal_columns())
    return exits.DONE


async def handoffs(
    since_s: Annotated[float, since("1 h")] = _HOUR_S,
    tenant: Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="Of this tenant's runs.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="Most runs; the newest.")] = 10_000,
    form: Annotated[
        str, typer.Option("--format", parser=_format, metavar="FORMAT", help="text, json, or svg: a picture.")
    ] = "text",
    json: JSON = False,
) -> int:
    """Tell who handed off to whom, how often, how long the queue was, what failed there and what went in circles."""
    async with opening.opened() as at:
        window = await at.journal.window(WindowFilter(since_s=since_s, tenant=tenant, limit=limit))
    graph = handoff_graph.build(window)
    if json or form == "json":
        say_json(graph_page.as_json(graph, since_s=since_s))
    elif form == "svg":
        say(graph_svg.drawn(graph, since_s=since_s).rstrip())
    else:
        graph_page.show(graph, since_s=since_s)
    return exits.DONE


async def _picture(journal: Journal, run_id: str) -> Picture:
    run, now = await journal.run(run_id), time.time()
    rebuilt = await Telemetry().read(journal, run.run_id, now=now)
    return Picture(run, await journal.hops(run.run_id), rebuilt, now)
