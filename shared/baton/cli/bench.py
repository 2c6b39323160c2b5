"""`baton bench relay`: what a durable handoff costs on this machine.

In: how many runs; or URLs of a broker and a journal, and for how long. Out: figures, as lines or as one object.
"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from baton.cli import exits, opening, values
from baton.cli.options import JSON
from baton.cli.printing import fields, heading, say_json, table
from baton.cli.progress import progress
from baton.errors import ConfigError

if TYPE_CHECKING:
    from baton.bench.load import Load
    from baton.bench.profile import Profile
    from baton.bench.services import Measured

_RUNS = Annotated[int, typer.Option("--runs", min=1, help="Runs to send, of 5 hops each; in one process.")]
_BROKER = Annotated[
    str | None,
    typer.Option("--broker", metavar="URL", help="amqp://…: every stage is a process; the vhost is the bench's alone."),
]
_JOURNAL = Annotated[
    str | None,
    typer.Option("--journal", metavar="URL", help="postgresql://…?search_path=bench; the schema is made."),
]
_MANAGEMENT = Annotated[
    str | None, typer.Option("--management", metavar="URL", help="The broker's management API, if not at port 15672.")
]
_SECONDS = Annotated[
    float,
    typer.Option(
        "--seconds", parser=values.duration_s, metavar="DURATION", help="How long the window is full.", show_default="8"
    ),
]
_RATE = Annotated[float, typer.Option("--rate", min=0, help="Runs a second in the second part; 0: none.")]
_RATE_SECONDS = Annotated[
    float,
    typer.Option(
        "--rate-seconds", parser=values.duration_s, metavar="DURATION", help="How long it takes.", show_default="10"
    ),
]
_PROFILE = Annotated[
    list[str] | None,
    typer.Option("--profile", metavar="PROCESS", help="router or stage-1 … stage-4: where a hop's time goes."),
]


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
    runs: _RUNS = 10_000,
    window: Annotated[int, typer.Option("--window", min=1, help="Runs in flight at a time.")] = 200,
    broker: _BROKER = None,
    journal: _JOURNAL = None,
    management: _MANAGEMENT = None,
    seconds: _SECONDS = 8.0,
    rate: _RATE = 20.0,
    rate_seconds: _RATE_SECONDS = 10.0,
    profile: _PROFILE = None,
    json: JSON = False,
) -> int:
    """Relay runs through the router and four agents, each hop a commit to a journal.

    Without --broker: in one process, journal on disk. With --broker and --journal: every stage a process
    of its own, requests and results over AMQP; first at a steady rate, then with the window full.

    Raises:
        ConfigError: One of --broker and --journal is missing, or they are in use.
    """
    if (broker is None) != (journal is None):
        raise ConfigError("--broker and --journal go together: amqp://… and postgresql://…")
    if broker is None or journal is None:
        return await _embedded(runs, window, as_json=json)
    from baton.bench import services
    from baton.bench.processes import Servers

    servers = Servers(broker, journal, management)
    plan = services.Plan(window, seconds, rate, rate_seconds if rate else 0.0, profile=tuple(profile or ()))
    with progress("relaying"):
        measured = await services.relay(servers, plan)
    if json:
        say_json(asdict(measured))
    else:
        _show(measured)
    return exits.FAILED if measured.lost else exits.DONE


async def _embedded(runs: int, window: int, *, as_json: bool) -> int:
    from baton.bench import embedded

    opening.spare_the_collector()
    with progress(f"relaying {runs:,} runs"):
        figures = await embedded.relay(runs=runs, window=window)
    line = embedded.as_line(figures)
    if as_json:
        say_json(line)
    else:
        fields({name: f"{value:,}" if isinstance(value, int | float) else str(value) for name, value in line.items()})
    return exits.FAILED if figures.lost else exits.DONE


def _show(measured: "Measured") -> None:
    rows = [["window full", *_cells(measured.full)]]
    if measured.steady is not None:
        rows.insert(0, ["steady rate", *_cells(measured.steady)])
    table(["load", "runs", "hops/s", "p50 ms", "p95 ms", "p99 ms", "lost", "wrong", "others' cores"], rows)
    heading("CPU seconds per 1,000 hops, and memory, with the window full")
    used = {name: f"{cpu:.3f}" for name, cpu in measured.full.cpu_s_per_1000_hops.items()}
    rows = [[name, cpu, f"{measured.memory_mib[name]} MiB"] for name, cpu in used.items()]
    rows.append(["all", f"{measured.full.cpu_s_in_all:.3f}", f"{sum(measured.memory_mib.values())} MiB"])
    table(["processes", "CPU s", "memory"], rows)
    for one in measured.profiles:
        show_profile(one)


def _cells(part: "Load") -> list[str]:
    latencies = ["-" if ms is None else f"{ms:.1f}" for ms in (part.p50_ms, part.p95_ms, part.p99_ms)]
    counts = [str(part.lost), str(part.wrong), f"{part.other_cores:.2f}"]
    return [f"{part.runs:,}", f"{part.hops_per_s:,.0f}", *latencies, *counts]


def show_profile(profile: "Profile") -> None:
    """Print where one process spends a hop's time."""
    heading(f"{profile.process}: {profile.us_per_hop:,.0f} us of CPU a hop ({profile.samples:,} samples)")
    for title, found in profile.tables().items():
        table(["us", "share", title], [[f"{row.us_per_hop:.1f}", f"{row.share:.1%}", row.place] for row in found])
