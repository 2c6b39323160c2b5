"""Breaks the pure decisions in every small way and counts what their tests notice (`make mutants`)."""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FLOOR = 0.85
PYPROJECT = """
[tool.pytest.ini_options]
testpaths = ["tests"]
pythonpath = ["."]
addopts = ["--import-mode=importlib"]
asyncio_mode = "auto"
timeout = 30
markers = ["slow: takes seconds", "crash: kills processes"]

[tool.mutmut]
source_paths = ["baton/protocol"]
tests_dir = ["tests/unit/protocol"]
also_copy = ["services", "tests", "baton"]
"""


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="baton-mutants-") as scratch:
        tree = Path(scratch)
        # mutmut wants the package at the root of the tree
        for source, target in (("shared/baton", "baton"), ("services", "services"), ("tests", "tests")):
            shutil.copytree(ROOT / source, tree / target, ignore=shutil.ignore_patterns("__pycache__"))
        (tree / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
        mutmut = Path(sys.executable).with_name("mutmut")
        run = subprocess.run(
            [mutmut, "run", "--max-children", "2"], cwd=tree, capture_output=True, text=True, check=False
        )
    counts = re.findall(r"(\d+)/(\d+)\s+🎉 (\d+)", run.stdout)
    if not counts or counts[-1][0] != counts[-1][1]:
        print(run.stdout[-2000:], run.stderr[-2000:], sep="\n", file=sys.stderr)
        return 1
    total, killed = int(counts[-1][1]), int(counts[-1][2])
    print(f"{killed} of {total} mutants noticed: {killed / total:.1%}, at least {FLOOR:.0%} wanted")
    return 0 if killed / total >= FLOOR else 1


if __name__ == "__main__":
    sys.exit(main())
