"""Where a serving process spends its processor time: its stack, looked at on every tick of its CPU clock.

`python -m baton.bench.sampler REPORT run TARGET…` is `baton run TARGET…`. SIGUSR1 begins to look, SIGUSR2 ends
it and writes REPORT. Time in C counts for the line of Python that called it, time in the kernel as well.
"""

import json
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType

INTERVAL_S = 0.001
"""Of CPU time between two looks; the kernel's clock may tick less often."""

_PACKAGE = str(Path(__file__).parents[1]) + "/"

Place = tuple[str, str, int]
"""File, function, line; line 0: the whole function."""


class Sampler:
    """Counts where the main thread is.

    Args:
        report: Where the counts go.
    """

    def __init__(self, report: Path) -> None:
        self._report = report
        self._own: Counter[Place] = Counter()
        self._within: Counter[Place] = Counter()
        self._for: Counter[Place] = Counter()
        self._count = 0
        self._cpu_s = 0.0

    def arm(self) -> None:
        """Listen to the signals."""
        signal.signal(signal.SIGUSR1, self._begin)
        signal.signal(signal.SIGUSR2, self._end)
        signal.signal(signal.SIGPROF, self._look)

    def _begin(self, _number: int, _frame: FrameType | None) -> None:
        self._own.clear()
        self._within.clear()
        self._for.clear()
        self._count, self._cpu_s = 0, time.process_time()
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        found = {
            "samples": self._count,
            "cpu_s": time.process_time() - self._cpu_s,
            "own": [[*place, count] for place, count in self._own.items()],
            "within": [[*place, count] for place, count in self._within.items()],
            "for": [[*place, count] for place, count in self._for.items()],
        }
        draft = self._report.with_suffix(".draft")
        draft.write_text(json.dumps(found), encoding="utf-8")
        draft.replace(self._report)

    def _look(self, _number: int, frame: FrameType | None) -> None:
        if frame is None:
            return
        self._count += 1
        code = frame.f_code
        self._own[code.co_filename, code.co_qualname, frame.f_lineno or code.co_firstlineno] += 1
        seen: set[Place] = set()
        at: FrameType | None = frame
        is_ours = False
        while at is not None:
            file, function = at.f_code.co_filename, at.f_code.co_qualname
            if not is_ours and file.startswith(_PACKAGE):
                is_ours = True
                self._for[file, function, at.f_lineno or 0] += 1
            seen.add((file, function, 0))
            at = at.f_back
        self._within.update(seen)


def main() -> None:
    """Serve as `baton` does, and be looked at."""
    from baton.cli.app import main as serve

    Sampler(Path(sys.argv[1])).arm()
    sys.argv[1:] = sys.argv[2:]
    serve()


if __name__ == "__main__":
    main()
