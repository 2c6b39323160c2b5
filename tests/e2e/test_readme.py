"""The README is true: its program runs as printed, and its files exist."""

import re
from pathlib import Path

import pytest

from baton.cli.loading import load_team
from baton.testing import serve

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


async def test_the_first_program_hands_off_from_cards_to_disputes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (program,) = blocks("python")
    (tmp_path / "first.py").write_text(program, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (request,) = re.findall(r'--send "(.*?)"', README)

    async with serve(load_team("first.py:desk")) as served:
        result = await served.send(request)

    assert result.trail == ("router", "cards", "disputes")
    assert result.text == "Case opened; the card is frozen."


def test_the_first_program_has_ten_lines_and_is_the_example() -> None:
    (program,) = blocks("python")
    lines = [line for line in program.splitlines() if line.strip()]
    example = (ROOT / "examples" / "first.py").read_text(encoding="utf-8")
    assert lines == [line for line in example.splitlines() if line.strip()]
    assert len(lines) == 10


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_what_the_readme_points_to_exists(name: str) -> None:
    assert (ROOT / name).exists()
