"""`baton bench relay`: what a durable handoff costs on this machine.

In: how many runs. Out: one line of figures.
"""

from typing import Annotated

import typer

from baton import bench
from baton.cli import exits, opening
from baton.cli.options import JSON
from baton.cli.printing import fields, say_json
from baton.cli.progress import progress


def register(app: typer.Typer) -> None:
    """Add `bench relay` to the commands."""
    bench_app = typer.Typer(help="Measure this machine.", no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(bench_app, name="bench")

    # A group of one command has to be told that it is a group.
    @bench_app.callback()
    def _group() -> None:
        pass

    exits.add(bench_app, "relay", relay)


async def relay(
    runs: Annotated[int, typer.Option("--runs", min=1, help="Runs to send, of 5 hops each.")] = 10_000,
    window: Annotated[int, typer.Option("--window", min=1, help="Runs in flight at a time.")] = 200,
    json: JSON = False,
) -> int:
    """Relay runs through the router and four agents, each hop a commit to a journal on disk."""
    opening.spare_the_collector()
    with progress(f"relaying {runs:,} runs"):
        figures = await bench.relay(runs=runs, window=window)
    line = bench.as_line(figures)
    if json:
        say_json(line)
    else:
        fields({name: f"{value:,}" if isinstance(value, int | float) else str(value) for name, value in line.items()})
    return exits.FAILED if figures.lost else exits.DONE
