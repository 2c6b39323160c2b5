"""The profile of one hop: where the microseconds of one process go.

In: a report of `sampler`, and how many hops it covers. Out: tables of microseconds per hop, by part, module and line.
"""

import json
import linecache
import sysconfig
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import baton

_PACKAGE = str(Path(baton.__file__).parent)
_LIBRARY = sysconfig.get_paths()["stdlib"]
_SITE = sysconfig.get_paths()["purelib"]
_EVERYWHERE = 0.97
"""The share from which on a function only says that the process runs."""


@dataclass(frozen=True, slots=True)
class Row:
    """A place, and what it costs."""

    place: str
    us_per_hop: float
    share: float


@dataclass(frozen=True, slots=True)
class Profile:
    """Where one process spent its time."""

    process: str
    us_per_hop: float
    samples: int
    modules: list[Row]
    """Time in a module itself and the C code that it calls."""
    lines: list[Row]
    ours: list[Row]
    """Time in a line of Baton and the libraries that it calls, but not in what else of Baton it calls."""
    functions: list[Row]
    """Time in a function and all that it calls."""

    def tables(self) -> dict[str, list[Row]]:
        """Return the tables by their titles."""
        return {
            "module, with the C code it calls": self.modules,
            "line, with the C code it calls": self.lines,
            "line of Baton, with the libraries it calls": self.ours,
            "function, with all it calls": self.functions,
        }


def read(report: Path, process: str, hops: int, *, limit: int = 25) -> Profile:
    """Return what a report says.

    Args:
        report: Written by `sampler`.
        process: What to call the process.
        hops: Hops that it did meanwhile.
        limit: Rows of a table, at most.
    """
    found = json.loads(report.read_text(encoding="utf-8"))
    us_per_hop = found["cpu_s"] / max(hops, 1) * 1e6
    each = us_per_hop / max(found["samples"], 1)
    modules: Counter[str] = Counter()
    lines: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    ours: Counter[str] = Counter()
    for file, function, line, count in found["own"]:
        modules[_module(file)] += count
        lines[_line(file, function, line)] += count
    for file, function, line, count in found["for"]:
        ours[_line(file, function, line)] += count
    for file, function, _, count in found["within"]:
        if count < found["samples"] * _EVERYWHERE:
            functions[f"{_module(file)} {function}"] += count

    def rows(counts: Iterable[tuple[str, int]]) -> list[Row]:
        return [Row(place, round(count * each, 1), round(count * each / us_per_hop, 3)) for place, count in counts]

    return Profile(
        process=process,
        us_per_hop=round(us_per_hop, 1),
        samples=found["samples"],
        modules=rows(modules.most_common(limit)),
        lines=rows(lines.most_common(limit)),
        ours=rows(ours.most_common(2 * limit)),
        functions=rows(functions.most_common(2 * limit)),
    )


def _line(file: str, function: str, line: int) -> str:
    return f"{_module(file)}:{line} {function}: {linecache.getline(file, line).strip()[:70]}"


def _module(file: str) -> str:
    for root, prefix in ((_PACKAGE, "baton"), (_SITE, ""), (_LIBRARY, "")):
        if file.startswith(root + "/"):
            path = Path(file).relative_to(root).with_suffix("")
            return ".".join(filter(None, (prefix, *path.parts))).removesuffix(".__init__")
    return file
