"""`python -m tests.evals`: every target of routing and recognition, what others reach, and what is reached here.

In: the development data in ../shared/evals. Out: one table; with --json, an object for each target in a file.
"""

import argparse
import json
import os
import shlex
import sys
from pathlib import Path

from baton.cli.printing import table
from baton.cli.progress import progress
from baton.routing import minilm
from tests.evals.measuring import DATA, Measured, measured, prepared, runs
from tests.evals.targets import TARGETS, Figure, Target


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.evals", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=[target.name for target in TARGETS], action="append", help="a row")
    parser.add_argument("--seeds", type=int, default=5, help="draws, where examples are drawn (5)")
    parser.add_argument("--lexical", action="store_true", help="the classifier without an encoder")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write a line for each row")
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR", help=f"instead of {DATA}")
    parser.add_argument("--commands", action="store_true", help="instead: print the command of each row")
    return parser.parse_args()


def lines_of(found: Measured) -> list[list[str]]:
    """Return a target's rows: its own, and one for each of its baselines."""
    target = found.target
    names = " / ".join(figure.name for figure in target.figures)
    own = [target.task, names, _wanted(target, "floor"), _wanted(target, "aim"), found.told(), found.verdict()]
    return [own, *([f"· {name}", "", "", "", figures, ""] for name, figures in target.baselines)]


def _wanted(target: Target, which: str) -> str:
    def one(figure: Figure) -> str:
        value = getattr(figure, which)
        return "-" if value is None else ("≤ " if figure.is_least_best else "") + f"{value:g}"

    return " / ".join(map(one, target.figures))


def main() -> int:
    given = arguments()
    # As the command line does: more threads of the algebra library make small matrices slower.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    minilm.KEPT_VECTORS = 20_000  # each text is encoded once, however many draws there are
    wanted = [target for target in TARGETS if not given.only or target.name in given.only]
    if given.commands:
        for target in wanted:
            for command in target.commands(given.data, 1):
                print(f"{target.name}: {shlex.join(['baton', 'eval', *command])}")
        print("clinc150_val_even.jsonl and clinc150_val_odd.jsonl are every other row of clinc150_val.jsonl")
        return 0
    if not (given.data / "README.md").exists():
        print(f"nothing to measure: the development data is not in {given.data}; see --data", file=sys.stderr)
        return 2
    with prepared(given.data) as data, progress("measuring", sum(runs(t, given.seeds) for t in wanted)) as advance:
        found = [measured(t, data, seeds=given.seeds, is_lexical=given.lexical, advance=advance) for t in wanted]
    if given.json:
        given.json.write_text("".join(json.dumps(one.as_object()) + "\n" for one in found), encoding="utf-8")
    table(
        ["task, and baselines on its test split", "figure", "floor", "aim", "here, dev side", "reached"],
        [line for one in found for line in lines_of(one)],
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
