"""`python -m tests.model [--full] [name]`: explore, and print the table; exit code 1 where something is wrong."""

import argparse
import sys

from tests.model.report import lines


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.model", description="Explore the hop protocol.")
    parser.add_argument("name", nargs="?", default="", help="only what has this in its name")
    parser.add_argument("--full", action="store_true", help="the long budgets of faults (5 minutes, half a gigabyte)")
    given = parser.parse_args()
    is_right = True
    for line in lines(is_full=given.full, wanted=given.name):
        print(line, flush=True)
        if not line.is_as_expected:
            is_right = False
            print("    " + " → ".join(line.found.trace))
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
