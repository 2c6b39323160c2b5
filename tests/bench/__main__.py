"""`python -m tests.bench`: what a durable handoff costs beside raw aio-pika, on servers of the benchmark's own.

In: how long, and how often. Out: a table and ratios; with --json, a line for each measurement.
"""

import argparse
import asyncio
import dataclasses
import json

from baton.bench.processes import PROCESSES, Servers
from baton.bench.services import Plan
from baton.cli.bench import show_profile
from tests.bench import comparing, report, routing
from tests.bench.comparing import Row
from tests.bench.own_servers import own_servers


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=2, help="of each contestant, by turns (2)")
    parser.add_argument("--window", type=int, default=200, help="runs in flight (200)")
    parser.add_argument("--seconds", type=float, default=8.0, help="with the window full (8)")
    parser.add_argument("--rate", type=float, default=20.0, help="runs a second in the other part (20)")
    parser.add_argument("--rate-seconds", type=float, default=10.0, help="of the other part; 0: none (10)")
    parser.add_argument("--fill", type=int, metavar="RUNS", help="instead: with no and with RUNS finished runs")
    parser.add_argument("--tracing", action="store_true", help="instead: what it costs to export every span")
    parser.add_argument(
        "--routing", action="store_true", help="instead: what a routing decision costs, without servers"
    )
    parser.add_argument("--profile", nargs="*", choices=PROCESSES, help="instead: where these processes' time goes")
    parser.add_argument("--instructions", action="store_true", help="count these, by perf: load changes them little")
    parser.add_argument("--json", action="store_true", help="a line for each measurement")
    return parser.parse_args()


async def measure(servers: Servers, given: argparse.Namespace) -> None:
    def tell(row: Row) -> None:
        print(json.dumps(dataclasses.asdict(row)) if given.json else report.line(row), flush=True)

    rate_seconds = 0.0 if given.instructions else given.rate_seconds
    plan = Plan(given.window, given.seconds, given.rate, rate_seconds)
    if given.profile is not None:
        plan = dataclasses.replace(plan, rate_seconds=0.0, profile=tuple(given.profile or ("stage-2", "router")))
        row = await comparing.measured(comparing.BATON, servers, plan)
        tell(row)
        for one in row.measured.profiles:
            show_profile(one)
        return
    work = comparing.Work(servers, plan, given.instructions, tell)
    if given.fill is not None:
        rows = await comparing.filled(work, given.fill)
    elif given.tracing:
        rows = await comparing.traced(work, given.repeats)
    else:
        rows = await comparing.by_turns(work, given.repeats)
    if not given.json:
        print(f"\n{report.table(rows)}")
        if given.tracing:
            print(f"\n{report.tracing(rows)}")
        elif given.fill is None:
            print(f"\n{report.ratios(rows)}")


def main() -> None:
    given = arguments()
    if given.routing:
        routing.show(max(1, given.repeats), as_json=given.json)
        return
    with own_servers() as servers:
        asyncio.run(measure(servers, given))


if __name__ == "__main__":
    main()
