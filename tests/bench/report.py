"""The benchmark's figures as Markdown.

In: rows. Out: a table, and Baton's ratios to the reference with what the issue asks for.
"""

from collections.abc import Callable, Sequence
from statistics import median

from tests.bench.comparing import BATON, RAW, Row

GROUPS = ("router", "agents", "rabbitmq", "postgres", "driver")
HEAD = (
    "contestant",
    "hops/s",
    "CPU s per 1,000 hops",
    *GROUPS,
    "M instructions/hop",
    "p50 ms",
    "p95 ms",
    "p99 ms",
    "MiB",
    "lost",
    "others' cores",
)


def table(rows: Sequence[Row]) -> str:
    lines = [HEAD, ["---"] * len(HEAD), *map(_cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def line(row: Row) -> str:
    """Return a row for whoever waits."""
    return "  ".join(f"{name} {cell}" for name, cell in zip(HEAD[1:], _cells(row)[1:], strict=True))


def ratios(rows: Sequence[Row]) -> str:
    """Return what Baton costs beside the reference: medians over the repeats."""

    def compared(value: Callable[[Row], float]) -> tuple[float, float]:
        ours, theirs = (median(value(row) for row in rows if row.name == name) for name in (BATON, RAW))
        return ours, theirs

    cpu, reference_cpu = compared(lambda row: row.measured.full.cpu_s_in_all)
    hops, reference_hops = compared(lambda row: row.measured.full.hops_per_s)
    told = [
        f"CPU {cpu / reference_cpu:.2f} × raw (floor 1.6, aim 1.25)",
        f"hops/s {hops / reference_hops:.2f} × raw (floor 0.6, aim 0.8)",
    ]
    if all(row.instructions for row in rows):
        ours, theirs = compared(lambda row: sum(row.instructions.values()))
        told.insert(1, f"instructions {ours / theirs:.2f} × raw")
    if all(row.measured.steady and row.measured.steady.p50_ms for row in rows):
        ours, theirs = compared(_p50_ms)
        told.append(f"p50 of five hops raw {ours - theirs:+.1f} ms (at most +5)")
    return "baton: " + " · ".join(told)


def _p50_ms(row: Row) -> float:
    steady = row.measured.steady
    assert steady is not None
    assert steady.p50_ms is not None
    return steady.p50_ms


def _cells(row: Row) -> list[str]:
    full, steady = row.measured.full, row.measured.steady
    latencies = (None, None, None) if steady is None else (steady.p50_ms, steady.p95_ms, steady.p99_ms)
    cpu = full.cpu_s_per_1000_hops
    return [
        row.name,
        f"{full.hops_per_s:,.0f}",
        f"{full.cpu_s_in_all:.3f}",
        *(f"{cpu[group]:.3f}" if group in cpu else "-" for group in GROUPS),
        f"{sum(row.instructions.values()):.2f}" if row.instructions else "-",
        *("-" if ms is None else f"{ms:.1f}" for ms in latencies),
        str(sum(row.measured.memory_mib.values())),
        str(row.measured.lost),
        f"{full.other_cores:.2f}",
    ]
