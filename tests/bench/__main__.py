"""`python -m tests.bench`: raw aio-pika and Baton by turns, on servers of their own, and the ratios.

In: how long, and how often. Out: a table; with --json, a line for each measurement.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import statistics
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from baton.bench import load, machine, services, stages
from baton.bench.services import Measured, Plan, Servers, Watch, unwatched
from tests.bench import raw
from tests.bench.own_servers import own_servers
from tests.bench.instructions import Instructions

ROOT = Path(__file__).resolve().parents[2]


@contextlib.asynccontextmanager
async def raw_stages(url: str) -> AsyncIterator[list[int]]:
    """Run the five processes of the reference."""
    running: list[asyncio.subprocess.Process] = []
    try:
        for stage in range(1, stages.STAGES + 1):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.bench.raw", str(stage), url, cwd=ROOT, stdout=asyncio.subprocess.PIPE
            )
            running.append(process)
            assert process.stdout is not None
            assert await process.stdout.readline() == b"serving\n"
        yield [process.pid for process in running]
    finally:
        for process in running:
            process.kill()
        await asyncio.gather(*(process.wait() for process in running))


async def measure_raw(servers: Servers, plan: Plan, watch: Watch = unwatched) -> Measured:
    """Measure the reference as `baton.bench.services.relay` measures Baton."""
    await raw.declare(servers.broker_url)
    async with raw_stages(servers.broker_url) as pids, raw.requesting(servers.broker_url) as submit:
        found = services.server_groups(servers)
        groups = {"agents": pids, "rabbitmq": found["rabbitmq"]}
        assert await load.warm_up(submit, plan.warm_up)
        await services.settled()
        steady = await load.steady(
            submit, groups, rate=plan.rate, seconds=plan.rate_seconds, stages=stages.STAGES
        )
        with watch(groups):
            full = await load.full(submit, groups, window=plan.window, seconds=plan.seconds, stages=stages.STAGES)
        return Measured(full, steady, machine.memory_mib({**groups, load.DRIVER: [os.getpid()]}))


async def measure(plan: Plan, repeats: int, *, as_json: bool) -> list[tuple[str, Measured]]:
    measured: list[tuple[str, Measured]] = []
    with own_servers() as servers:
        for _ in range(repeats):
            for name, one in (("raw", measure_raw), ("baton", services.relay)):
                counted = Instructions()
                found = await one(servers, plan, counted.watch)
                measured.append((name, found))
                print("M instructions/hop", counted.per_hop(found.full.runs*5))
                for one_profile in found.profiles: show(one_profile)
                if as_json:
                    print(json.dumps({"name": name, **dataclasses.asdict(found)}), flush=True)
                else:
                    print(line(name, found), flush=True)
    return measured


def show(p):
    print(f"== {p.process}: {p.us_per_hop} us of CPU per hop, {p.samples} samples")
    for title, rows in (("module, own time", p.modules), ("line, own time", p.lines), ("line of Baton, with the libraries it calls", p.ours), ("function, with all it calls", p.functions)):
        print("--", title)
        for row in rows: print(f"{row.us_per_hop:8.1f} us {row.share:6.1%}  {row.place}")


def line(name: str, found: Measured) -> str:
    parts = found.full.cpu_s_per_1000_hops
    split = " + ".join(f"{group} {parts[group]:.3f}" for group in parts)
    latency = "" if found.steady is None else f"p50 {found.steady.p50_ms} p95 {found.steady.p95_ms} p99 {found.steady.p99_ms} ms"
    return (
        f"{name:6} {found.full.hops_per_s:7,.0f} hops/s  CPU s/1,000 hops {found.full.cpu_s_per_1000_hops_in_all:.3f}"
        f" = {split}  {latency}  lost {found.lost}  cores {found.full.cores} + others' {found.full.other_cores}"
        f"  {sum(found.memory_mib.values())} MiB"
    )


def ratios(measured: list[tuple[str, Measured]]) -> str:
    def middle(name: str, value: str) -> float:
        of = {"cpu": lambda m: m.full.cpu_s_per_1000_hops_in_all, "hops": lambda m: m.full.hops_per_s, "p50": lambda m: m.steady.p50_ms}[value]
        return statistics.median(of(found) for who, found in measured if who == name)

    cpu = middle("baton", "cpu") / middle("raw", "cpu")
    hops = middle("baton", "hops") / middle("raw", "hops")
    more = middle("baton", "p50") - middle("raw", "p50")
    return f"baton / raw: CPU {cpu:.2f}, hops/s {hops:.2f}, p50 {more:+.1f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rate-seconds", type=float, default=10.0)
    parser.add_argument("--window", type=int, default=200)
    parser.add_argument("--rate", type=float, default=20.0)
    parser.add_argument("--profile", action="append", default=[])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    plan = Plan(window=given.window, seconds=given.seconds, rate=given.rate, rate_seconds=given.rate_seconds, profile=tuple(given.profile))
    measured = asyncio.run(measure(plan, given.repeats, as_json=given.json))
    print(ratios(measured))


if __name__ == "__main__":
    main()
