"""`python -m tests.bench --routing`: what a decision costs, one core, each variant in a process of its own.

In: the shipped desk's cards, and Banking77 where `../shared/evals` is at hand. Out: a table beside issue 5's targets.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import Any

from baton.routing.minilm import PACKAGE
from tests.bench import routing_child
from tests.bench.comparing import ROOT

NEEDED = ("onnx", "onnxruntime", "tokenizers", PACKAGE)


@dataclass(frozen=True)
class Line:
    """A row of the table: a figure and what issue 5 wants of it."""

    key: str
    told: str
    minilm: str
    lexical: str = "-"
    digits: int = 1


LINES = (
    Line("load_s", "model load, s", "≤ 1", digits=2),
    Line("cold_s", "building from cards, cold, s", "-"),
    Line("retrain_s", "retraining after one card changed, s", "≤ 3"),
    Line("one_p50_ms", "one decision p50, ms", "≤ 8", "≤ 1", 2),
    Line("one_p99_ms", "one decision p99, ms", "≤ 20", digits=2),
    Line("one_cpu_ms", "CPU of one decision, mean, ms", "-", digits=2),
    Line("recognition_p50_ms", "with recognition p50, ms", "-", digits=2),
    Line("recognition_p99_ms", "with recognition p99, ms", "-", digits=2),
    Line("batched_per_s", "decisions/s, batches of 32", "≥ 250", digits=0),
    Line("asked_per_s", "decisions/s, 16 askers of a Judge", "≥ 250", digits=0),
    Line("rss_mib", "RSS, MiB", "≤ 400", digits=0),
)


def measured(rounds: int) -> dict[str, dict[str, float]]:
    """Measure each variant that can be; say which cannot."""
    variants = [(cards, method) for cards in routing_child.card_sets() for method in ("minilm", "lexical")]
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        print(f"without the embedding model: not installed: {', '.join(missing)}", file=sys.stderr)
    found: dict[str, dict[str, float]] = {}
    for cards, method in variants:
        if method == "minilm" and missing:
            continue
        command = [sys.executable, "-m", "tests.bench.routing_child", cards, method, str(rounds)]
        with TemporaryDirectory() as nothing_kept:
            environ = {**os.environ, "XDG_CACHE_HOME": nothing_kept}
            done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{cards}, {method}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            continue
        found[f"{cards}, {method}"] = json.loads(done.stdout)
    return found


def table(found: dict[str, dict[str, float]]) -> str:
    """Return the figures as Markdown, each beside its target."""
    rows = [["figure", "target (lexical)", *found], ["---"] * (2 + len(found))]
    for line in LINES:
        target = line.minilm if line.lexical == "-" else f"{line.minilm} ({line.lexical})"
        rows.append([line.told, target, *(_cell(line, one) for one in found.values())])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def show(rounds: int, *, as_json: bool) -> None:
    """Measure, and print."""
    found = measured(rounds)
    if as_json:
        for name, figures in found.items():
            print(json.dumps({"variant": name, **figures}))
    else:
        print(f"one core; times are the best of {rounds} rounds\n\n{table(found)}")


def _cell(line: Line, figures: dict[str, Any]) -> str:
    value = figures.get(line.key)
    return "-" if value is None else f"{value:,.{line.digits}f}"
