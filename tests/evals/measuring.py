"""What the commands of a target give: one set of figures a seed.

In: a target and a folder of data. Out: its figures, as they are told in the table.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from statistics import fmean, stdev
from tempfile import TemporaryDirectory
from typing import Any

from tests.evals.targets import Figure, Target, split
from tests.support.cli import Cli

ROOT = Path(__file__).resolve().parents[2]
DATA = (ROOT / ".." / "shared" / "evals").resolve()


@dataclass(frozen=True)
class Measured:
    """A target and what was measured: per figure, a value a seed."""

    target: Target
    values: tuple[tuple[float, ...], ...]

    def mean(self, place: int) -> float:
        return fmean(self.values[place])

    def told(self) -> str:
        return " / ".join(_told(values) for values in self.values)

    def verdict(self) -> str:
        """Say whether every figure reaches its aim, or its floor."""
        pairs = list(zip(self.target.figures, self.values, strict=True))
        if all(_reaches(figure, fmean(values), figure.aim) for figure, values in pairs):
            return "aim"
        if all(_reaches(figure, fmean(values), figure.floor) for figure, values in pairs):
            return "floor" if any(figure.floor is not None for figure, _ in pairs) else ""
        return "below"

    def as_object(self) -> dict[str, Any]:
        return {
            "target": self.target.name,
            "task": self.target.task,
            "figures": [
                {"name": f.name, "floor": f.floor, "aim": f.aim, "mean": round(fmean(v), 3), "values": list(v)}
                for f, v in zip(self.target.figures, self.values, strict=True)
            ],
            "verdict": self.verdict(),
        }


@contextmanager
def prepared(data: Path = DATA) -> Iterator[Path]:
    """Give a folder of the data, with the halves that targets tune and measure on."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for path in data.glob("*.json*"):
            shutil.copy(path, folder)
        split(data, folder)
        yield folder


def runs(target: Target, seeds: int) -> int:
    """Return how many times a target is measured."""
    return seeds if target.is_drawn else 1


def measured(
    target: Target, data: Path, *, seeds: int, is_lexical: bool, advance: Callable[[], None] = lambda: None
) -> Measured:
    """Measure a target from seed 1 on."""
    rows: list[list[float]] = []
    for seed in range(1, runs(target, seeds) + 1):
        found = [_run(command, is_lexical=is_lexical) for command in target.commands(data, seed)]
        rows.append([fmean(_value(figure, one) for one in found) for figure in target.figures])
        advance()
    return Measured(target, tuple(zip(*rows, strict=True)))


def _run(command: list[str], *, is_lexical: bool) -> dict[str, Any]:
    done = Cli(ROOT)("eval", *command, "--json", *(["--lexical"] if is_lexical else []))
    if done.code:
        raise RuntimeError(f"baton eval {' '.join(command)} ended with {done.code}: {done.err}")
    return done.object


def _value(figure: Figure, found: dict[str, Any]) -> float:
    value = reduce(lambda level, name: level[name], figure.key.split("."), found)
    assert isinstance(value, int | float), f"{figure.key} is {value!r}"
    return figure.scale * value


def _reaches(figure: Figure, value: float, wanted: float | None) -> bool:
    if wanted is None:
        return True
    return value <= wanted if figure.is_least_best else value >= wanted


def _told(values: tuple[float, ...]) -> str:
    spread = f" ± {stdev(values):.1f}" if len(values) > 1 else ""
    return f"{fmean(values):.1f}{spread}"
