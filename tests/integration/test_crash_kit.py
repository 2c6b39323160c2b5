"""The crash kit tells what it saw: what was killed, what was never reached, what went wrong."""

import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from baton import failpoints
from baton.journal.views import EventView
from baton.testing import crash, serve
from baton.testing.crash import CrashError, CrashReport
from baton.testing.crash_process import environment
from tests.integration.crash_team import desk
from tests.integration.test_crash import ANSWERS, TARGET

pytestmark = pytest.mark.crash

ALONE = """
from baton import Agent, Answer, Team, Turn
from baton.testing import ScriptedClassifier

solo = Agent("solo", "Answers")

@solo.turn
async def answer(turn: Turn) -> Answer:
    {work}
    return Answer("done")

desk = Team("alone", agents=[solo], classifier=ScriptedClassifier(default="solo"))
"""


@pytest.fixture(autouse=True)
def keep_failed_journals_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def team(folder: Path, work: str = "pass") -> str:
    """Write a team whose only agent does `work`, and return the target."""
    (folder / "alone.py").write_text(ALONE.format(work=work), encoding="utf-8")
    return str(folder / "alone.py")


async def test_a_run_passes_every_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passed: list[str] = []
    monkeypatch.setattr(failpoints, "hit", passed.append)
    journal = tmp_path / "journal.db"
    monkeypatch.setenv("CRASH_LEDGER", str(tmp_path / "ledger.db"))
    monkeypatch.setenv("BATON_JOURNAL_URL", f"sqlite:///{journal}")
    async with serve(desk, journal=journal) as served:
        asked = await served.send("ask")
        assert (await served.reply(asked, ANSWERS["ask"])).status == "completed"
    assert set(passed) == set(crash.POINTS) == set(failpoints.POINTS)


def test_a_report_tells_how_the_run_went_on(tmp_path: Path) -> None:
    ledger = {"CRASH_LEDGER": str(tmp_path / "ledger.db")}
    report = crash.run(TARGET, send="plain", at="step.recorded", count=3, facts={"who": "me"}, environ=ledger)
    assert (report.at, report.count, report.was_killed, report.integrity) == ("step.recorded", 3, True, "ok")
    assert report.attempts == {0: 1, 1: 1, 2: 2}
    assert {step.key: step.attempt for step in report.steps} == {
        "look": 1,
        "reserve": 1,
        "charge": 1,
        "notify": 2,
        "book": 2,
    }
    assert report.terminal_count == 1
    assert report.result.facts["who"] == "me"
    assert report.problems == []
    assert not report.journal.exists(), "it is kept only where something is wrong"


def test_run_all_reports_each_point_and_passing(tmp_path: Path) -> None:
    reports = crash.run_all(team(tmp_path), send="hello", points=["hop.claimed", "finish.after_commit"], counts=[1, 2])
    assert [(report.at, report.count) for report in reports] == [
        ("hop.claimed", 1),
        ("hop.claimed", 2),
        ("finish.after_commit", 1),
        ("finish.after_commit", 2),
    ]
    assert [report.check().result.text for report in reports] == ["done"] * 4


def test_a_point_that_is_never_reached_does_not_pass_for_a_test(tmp_path: Path) -> None:
    report = crash.run(team(tmp_path), send="hello", at="step.done")
    assert not report.was_killed
    assert report.result.status == "completed"
    assert "never reached" in str(report)
    with pytest.raises(AssertionError, match="the point was never reached: the run does not pass it 1 times"):
        report.check()


def test_a_journal_that_was_given_is_kept(tmp_path: Path) -> None:
    journal = tmp_path / "kept.db"
    for at in ("hop.claimed", "turn.returned"):
        assert crash.run(team(tmp_path), send="hello", at=at, journal=journal).check().journal == journal
    assert journal.exists()
    with pytest.raises(CrashError, match="cannot share a journal"):
        crash.run_all(team(tmp_path), send="hello", journal=journal)


def test_a_run_that_does_not_end_is_reported_with_what_was_printed(tmp_path: Path) -> None:
    target = team(tmp_path, "print('I am stuck'); import asyncio; await asyncio.Event().wait()")
    with pytest.raises(CrashError, match=r"did not end within 1 s(?s:.)*") as raised:
        crash.run(target, send="hello", at="step.done", timeout_s=1, environ={"BATON_GRACE_S": "0"})
    assert "I am stuck" in str(raised.value)
    assert raised.value.__notes__[0].startswith(f"journal, jobs and output are kept in {tmp_path}")


def test_a_process_that_hangs_is_killed_and_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crash, "GRACE_S", 3.0)
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    target = team(tmp_path, "print('I block'); import threading; threading.Event().wait()")
    with pytest.raises(CrashError, match="did not exit within 4 s") as raised:
        crash.run(target, send="hello", at="step.done", timeout_s=1)
    assert "I block" in str(raised.value)
    assert 'alone.py", line 9 in answer' in str(raised.value), "the stack tells what blocks"


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("nowhere.py:desk", "no file 'nowhere.py'"),
        ("tests.integration.crash_team:nobody", "has no 'nobody'"),
        ("tests.integration.crash_team:front", "a Team is needed"),
    ],
)
def test_a_target_that_names_no_team_is_reported(target: str, told: str) -> None:
    with pytest.raises(CrashError, match=told):
        crash.run(target, send="hello", at="hop.claimed")


@pytest.mark.parametrize(("at", "count"), [("hop.claim", 1), ("hop.claimed", 0)])
def test_a_point_that_does_not_exist_is_refused(at: str, count: int) -> None:
    with pytest.raises(CrashError, match=r"the points are accept\.before_commit, "):
        crash.run(TARGET, send="hello", at=at, count=count)


def test_a_process_that_is_killed_by_somebody_else_is_no_crash_test(tmp_path: Path) -> None:
    target = team(tmp_path, f"import os; os.kill(os.getpid(), 9) if turn.attempt > 1 else os.getpid() == {os.getpid()}")
    with pytest.raises(CrashError, match="killed, and not by this test"):
        crash.run(target, send="hello", at="turn.returned", count=2)


@pytest.mark.parametrize(
    ("environ", "code", "told"),
    [
        ({"BATON_FAIL_AT": "hop.claimed:2"}, -signal.SIGKILL, ""),
        ({"BATON_FAIL_AT": "hop.claimed:2", "BATON_TESTING": "0"}, 0, "done"),
        ({"BATON_FAIL_AT": "hop.claim"}, 2, "the points are accept.before_commit"),
    ],
)
def test_baton_run_dies_at_fail_points_only_in_tests(
    environ: dict[str, str], code: int, told: str, tmp_path: Path
) -> None:
    command = "from baton.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", command, "run", team(tmp_path), "--send", "hello"],
        env={**environment(tmp_path / "journal.db", {}), **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, told in " ".join((done.stdout + done.stderr).split())) == (code, True), done


def test_what_breaks_the_guarantee_is_named(tmp_path: Path) -> None:
    """A report is spoiled in every way; the kit's own checks would else never be seen to fail."""
    report = crash.run(team(tmp_path), send="hello", at="hop.acked").check()
    story = report.story
    end = story.events[-1]

    def spoiled(**changes: object) -> list[str]:
        return dataclasses.replace(report, stories=(dataclasses.replace(story, **changes),)).problems  # type: ignore[arg-type]

    twice = EventView.model_validate({**end.model_dump(), "number": end.number + 1})
    late = EventView.model_validate({**twice.model_dump(), "type": "retry"})
    assert spoiled(events=(*story.events, twice)) == ["the run is completed and its timeline has 2 ends"]
    assert spoiled(events=(*story.events, late)) == ["the timeline goes on after the end, with 'retry'"]
    assert spoiled(events=story.events[:-1])[0] == "the run is completed and its timeline has 0 ends"
    assert "numbered [2," in spoiled(events=story.events[1:])[0]
    running = story.hops[-1].model_copy(update={"status": "running"})
    assert spoiled(hops=(*story.hops[:-1], running)) == ["the run has ended and its hops [1] have not"]
    assert spoiled(hops=story.hops[1:]) == ["the hops are numbered [1]"]
    lost = story.result.model_copy(update={"status": "running"})
    assert "it has neither ended nor does it wait" in spoiled(result=lost)[0]
    assert dataclasses.replace(report, stories=()).problems == ["the request became 0 runs"]
    assert dataclasses.replace(report, stories=(story, story)).problems == ["the request became 2 runs"]
    with pytest.raises(AssertionError, match="became 0 runs"):
        _ = dataclasses.replace(report, stories=()).result
    damaged: CrashReport = dataclasses.replace(report, integrity="row 3 missing")
    with pytest.raises(AssertionError, match="the journal is damaged: row 3 missing"):
        damaged.check()
