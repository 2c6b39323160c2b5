"""The benchmark's figures as Markdown.

In: rows. Out: a table, and Baton's ratios to the reference with what the issue asks for.
"""

from collections.abc import Callable, Sequence
from statistics import median

from tests.bench.comparing import BATON, METERED, RAW, TRACED, Row

GROUPS = ("router", "agents", "rabbitmq", "postgres", "driver")


def table(rows: Sequence[Row]) -> str:
    head = ["contestant", *_cells(rows[0])]
    lines = [head, ["---"] * len(head), *([row.name, *_cells(row).values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def line(row: Row) -> str:
    """Return a row for whoever waits."""
    return f"{row.name}: {' · '.join(f'{cell} {name}' for name, cell in _cells(row).items() if cell != '-')}"


def ratios(rows: Sequence[Row]) -> str:
    """Return what Baton costs beside the reference: medians over the repeats."""

    def compared(value: Callable[[Row], float]) -> tuple[float, float]:
        ours, theirs = (median(value(row) for row in rows if row.name == name) for name in (BATON, RAW))
        return ours, theirs

    if all(row.instructions for row in rows):
        ours, theirs = compared(lambda row: sum(row.instructions.values()))
        return f"baton: instructions {ours / theirs:.2f} × raw"
    cpu, reference_cpu = compared(lambda row: row.measured.full.cpu_s_in_all)
    hops, reference_hops = compared(lambda row: row.measured.full.hops_per_s)
    told = [
        f"CPU {cpu / reference_cpu:.2f} × raw (floor 1.6, aim 1.25)",
        f"hops/s {hops / reference_hops:.2f} × raw (floor 0.6, aim 0.8)",
    ]
    if all(row.measured.steady and row.measured.steady.p50_ms for row in rows):
        ours, theirs = compared(_p50_ms)
        told.append(f"p50 of five hops raw {ours - theirs:+.1f} ms (at most +5)")
    return "baton: " + " · ".join(told)


def tracing(rows: Sequence[Row]) -> str:
    """Return what it costs to export every span, and metrics with them: medians over the repeats."""
    return "\n".join(_traced(rows, name) for name in (TRACED, METERED))


def _traced(rows: Sequence[Row], name: str) -> str:
    ours, theirs = ([row for row in rows if row.name == one] for one in (name, BATON))
    told = []
    if all(row.instructions for row in rows):
        counts = [median(sum(row.instructions.values()) for row in some) for some in (ours, theirs)]
        told.append(f"instructions {counts[0] / counts[1]:.2f} × untraced")
    else:
        cpu = [median(row.measured.full.cpu_s_in_all for row in some) for some in (ours, theirs)]
        told.append(f"CPU {cpu[0] / cpu[1]:.2f} × untraced (at most 1.6)")
    if all(row.measured.steady and row.measured.steady.p50_ms for row in rows):
        p50 = [median(map(_p50_ms, some)) for some in (ours, theirs)]
        told.append(f"p50 {p50[0] / p50[1] - 1:+.0%} (at most +10 %)")
    told.append(f"spans lost: {sum(row.spans_lost or 0 for row in ours)}")
    return f"{name}: " + " · ".join(told)


def _p50_ms(row: Row) -> float:
    steady = row.measured.steady
    assert steady is not None
    assert steady.p50_ms is not None
    return steady.p50_ms


def _cells(row: Row) -> dict[str, str]:
    """Return a row's cells by their heads: times, or instructions where they were counted."""
    full, steady = row.measured.full, row.measured.steady
    if row.instructions:
        found, unit, in_all = row.instructions, "M instructions/hop", sum(row.instructions.values())
    else:
        found, unit, in_all = full.cpu_s_per_1000_hops, "CPU s/1,000 hops", full.cpu_s_in_all
    cells = {unit: f"{in_all:.3f}"} | {group: f"{found[group]:.3f}" if group in found else "-" for group in GROUPS}
    if not row.instructions:
        latencies = (None, None, None) if steady is None else (steady.p50_ms, steady.p95_ms, steady.p99_ms)
        at_rate = ("-" if ms is None else f"{ms:.1f}" for ms in latencies)
        cells = {"hops/s": f"{full.hops_per_s:,.0f}"} | cells
        cells |= dict(zip(("p50 ms", "p95 ms", "p99 ms"), at_rate, strict=True))
        cells |= {"MiB": str(sum(row.measured.memory_mib.values()))}
    return cells | {"lost": str(row.measured.lost), "others' cores": f"{full.other_cores:.2f}"}
