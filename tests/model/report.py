"""The table of an exploration: what was explored, under how many faults, and what was found.

In: a choice of quick or full budgets. Out: lines to print, and whether everything was as it has to be.
"""

import time
from collections.abc import Iterator
from typing import NamedTuple

from tests.model.broken import BROKEN, COUNTEREXAMPLES, Broken
from tests.model.explore import Explored, explore
from tests.model.rules import Scenario
from tests.model.scenarios import SCENARIOS
from tests.model.world import World


class Line(NamedTuple):
    """One exploration."""

    name: str
    faults: int
    found: Explored
    took_s: float
    is_as_expected: bool

    def __str__(self) -> str:
        mark = " " if self.is_as_expected else "!"
        counted = f"{self.found.states:>9,} {self.took_s:>6.1f} s"
        return f"{mark} {self.name:<44} f{self.faults} {counted}  {self.found.verdict}"


def lines(*, is_full: bool, wanted: str = "") -> Iterator[Line]:
    """Yield a line for each scenario, each broken rule and each counterexample whose name holds `wanted`."""
    for scenario in SCENARIOS:
        if wanted in scenario.name:
            yield _scenario(scenario, scenario.faults if is_full else scenario.quick_faults)
    for broken in (*BROKEN, *COUNTEREXAMPLES):
        if wanted in broken.name:
            yield _broken(broken)


def catches(broken: Broken, found: Explored) -> bool:
    """Return True where the oracle said of a broken protocol what it has to say."""
    return set(broken.caught) <= found.findings


def _scenario(scenario: Scenario, faults: int) -> Line:
    began = time.perf_counter()
    found = explore(World(scenario), faults)
    return Line(scenario.name, faults, found, time.perf_counter() - began, not found.findings)


def _broken(broken: Broken) -> Line:
    began = time.perf_counter()
    found = explore(World(broken.scenario, broken.rules), broken.faults)
    return Line(broken.name, broken.faults, found, time.perf_counter() - began, catches(broken, found))
