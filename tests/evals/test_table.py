"""The table of targets: what it says of a figure, and without data."""

from pathlib import Path

import pytest

from tests.evals import __main__ as table
from tests.evals.measuring import Measured
from tests.evals.targets import TARGETS

BY_NAME = {target.name: target for target in TARGETS}


@pytest.mark.parametrize(
    ("f1", "false", "verdict"),
    [(91.0, 2.5, "aim"), (90.9, 2.5, "floor"), (88.0, 0.0, "floor"), (87.9, 2.0, "below"), (95.0, 2.6, "below")],
)
def test_a_target_is_reached_where_each_of_its_figures_is(f1: float, false: float, verdict: str) -> None:
    assert Measured(BY_NAME["handoff-multiwoz"], ((f1,), (false,))).verdict() == verdict


def test_a_row_tells_mean_and_spread_and_baselines_follow() -> None:
    rows = table.lines_of(Measured(BY_NAME["departments"], ((96.0, 97.0), (80.0, 80.0))))
    assert rows[0][1:] == [
        "accuracy / oos recall at 5 % rejected",
        "96 / 79",
        "97 / 85",
        "96.5 ± 0.7 / 80.0 ± 0.0",
        "floor",
    ]
    assert ["· lex", "", "", "", "90.4 / 43", ""] in rows


def test_a_target_without_a_floor_is_reached_at_its_aim_only() -> None:
    assert Measured(BY_NAME["clinc150-40"], ((95.0,), (65.0,))).verdict() == "aim"
    assert Measured(BY_NAME["clinc150-40"], ((94.0,), (65.0,))).verdict() == ""


def test_without_the_data_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["evals", "--data", str(tmp_path)])
    assert table.main() == 2
    assert f"the development data is not in {tmp_path}" in capsys.readouterr().err
