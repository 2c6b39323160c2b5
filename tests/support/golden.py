"""Golden files: what was seen once and found good, to be seen again.

In: a text. Out: nothing, or the difference. `BATON_TEST_GOLDEN=write` writes them anew; read them before a commit.
"""

import difflib
import os
from pathlib import Path

GOLDEN = Path(__file__).resolve().parents[1] / "contract" / "golden"


def matches(name: str, seen: str) -> bool:
    """Return True where `golden/<name>` is the same, or is to be written."""
    is_written = os.environ.get("BATON_TEST_GOLDEN") == "write"
    return is_written or (GOLDEN / name).read_text(encoding="utf-8") == seen


def check(name: str, seen: str) -> None:
    """Compare with `golden/<name>`."""
    path = GOLDEN / name
    if os.environ.get("BATON_TEST_GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(seen, encoding="utf-8")
    told = path.read_text(encoding="utf-8")
    difference = "\n".join(difflib.unified_diff(told.splitlines(), seen.splitlines(), name, "seen", lineterm=""))
    assert not difference, f"{difference}\n\nBATON_TEST_GOLDEN=write writes it anew"
