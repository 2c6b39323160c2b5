"""The search: every state that a budget of faults can lead to, and from each a way to a good end.

In: a world and a budget. Out: `Explored`. Layer n holds what needs n faults: its free steps are followed
to the end before the next fault strikes, so a state is met once, with the fewest faults that lead to it.
"""

from array import array
from collections import Counter
from typing import NamedTuple

from tests.model.faults import faults
from tests.model.moves import moves
from tests.model.oracle import is_quiet
from tests.model.state import State
from tests.model.world import World


class Explored(NamedTuple):
    """What was found."""

    states: int
    steps: int
    """Without faults."""
    good_ends: int
    wrongs: Counter[str]
    """Broken promises, and in how many states; from there the search does not go on."""
    stuck: int
    """States from which no good end can be reached any more."""
    kinds: frozenset[str]
    """The names of the steps and faults that happened at all."""
    trace: tuple[str, ...]
    """The steps to the first wrong or stuck state, faults in capitals."""

    @property
    def findings(self) -> set[str]:
        """What is wrong, without how often."""
        return {*self.wrongs, *(["stuck"] if self.stuck else [])}

    @property
    def verdict(self) -> str:
        """What is to be told, in a line."""
        told = [f"{wrong} in {count:,} end states" for wrong, count in self.wrongs.most_common()]
        told += [f"stuck in {self.stuck:,} states"] if self.stuck else []
        return "; ".join(told) or "clean"


class Search:
    """One exploration.

    Args:
        world: What to explore.
        budget: Most faults.
    """

    def __init__(self, world: World, budget: int) -> None:
        self._world = world
        self._budget = budget
        self._numbers: dict[State, int] = {}
        self._parents = array("i")
        self._labels: list[str] = []
        self._kinds: set[str] = set()
        self._sources, self._targets = array("I"), array("I")
        self._good: list[int] = []
        self._wrong: dict[int, tuple[str, ...]] = {}

    def run(self) -> Explored:
        """Explore everything, then look back from the good ends."""
        layer = [self._world.start()]
        self._meet(layer[0], -1, "start")
        for used in range(self._budget + 1):
            self._follow(layer)
            layer = self._strike(layer) if used < self._budget else []
        stuck = self._stuck()
        first = min([*self._wrong, *stuck], default=None)
        return Explored(
            states=len(self._numbers),
            steps=len(self._sources),
            good_ends=len(self._good),
            wrongs=Counter(wrong for wrongs in self._wrong.values() for wrong in wrongs),
            stuck=len(stuck),
            kinds=frozenset(self._kinds),
            trace=() if first is None else self._trace(first),
        )

    def _meet(self, state: State, parent: int, label: str) -> bool:
        """Give a new state its number; False: it was met before, or it is wrong and not to be followed."""
        self._kinds.add(label)
        number = self._numbers.setdefault(state, len(self._parents))
        if number < len(self._parents):
            return False
        self._parents.append(parent)
        self._labels.append(label)
        if found := self._world.wrongs(state.journal):
            self._wrong[number] = found
            return False
        if is_quiet(state) and self._world.is_over(state.journal):
            self._good.append(number)
        return True

    def _follow(self, layer: list[State]) -> None:
        """Follow all free steps; `layer` grows by what they lead to."""
        for state in layer:
            source = self._numbers[state]
            for label, after in moves(self._world, state):
                if self._meet(after, source, label):
                    layer.append(after)
                self._sources.append(source)
                self._targets.append(self._numbers[after])

    def _strike(self, layer: list[State]) -> list[State]:
        """Return the new states that one fault leads to."""
        return [
            after
            for state in layer
            for label, after in faults(self._world, state)
            if self._meet(after, self._numbers[state], label.upper())
        ]

    def _stuck(self) -> list[int]:
        """Return the states from which no free steps lead to a good end; wrong ones count as ended."""
        starts = array("I", bytes(4 * (len(self._parents) + 1)))
        for target in self._targets:
            starts[target + 1] += 1
        for number in range(len(self._parents)):
            starts[number + 1] += starts[number]
        places, before = array("I", starts), array("I", bytes(4 * len(self._sources)))
        for source, target in zip(self._sources, self._targets, strict=True):
            before[places[target]] = source
            places[target] += 1
        reaches = bytearray(len(self._parents))
        waiting = [*self._good, *self._wrong]
        for number in waiting:
            reaches[number] = 1
        while waiting:
            number = waiting.pop()
            for source in before[starts[number] : starts[number + 1]]:
                if not reaches[source]:
                    reaches[source] = 1
                    waiting.append(source)
        return [number for number, can in enumerate(reaches) if not can]

    def _trace(self, number: int) -> tuple[str, ...]:
        steps = []
        while number >= 0:
            steps.append(self._labels[number])
            number = self._parents[number]
        return tuple(reversed(steps))


def explore(world: World, budget: int) -> Explored:
    """Explore a world under at most `budget` faults."""
    return Search(world, budget).run()
