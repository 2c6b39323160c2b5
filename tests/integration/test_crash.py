"""A process killed at any point of a run is no loss: the next one finishes it, and nothing is done twice."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from baton.testing import crash
from baton.testing.crash import CrashReport
from tests.integration.crash_team import open_ledger

pytestmark = pytest.mark.crash

TARGET = str(Path(__file__).with_name("crash_team.py")) + ":desk"
ANSWERS = {"ask": "the red one", "approve": "approve", "person": "I took care of it"}
KEYED = ["charge", "reserve"]


@dataclass(frozen=True)
class Case:
    """One kill: on which path, at which passing of the point, and what a reviewer says afterwards."""

    path: str
    count: int = 1
    review: str | None = None

    @property
    def replies(self) -> list[str]:
        return [ANSWERS[word] for word in self.path.split() if word in ANSWERS]


ONCE = [Case("plain"), Case("ask"), Case("approve"), Case("ask approve"), Case("ask approve person")]
HOPS = [Case("plain", 1), Case("plain", 3), Case("ask", 2), Case("approve", 4), Case("ask approve person", 5)]
STEPS = [Case("plain", 1), Case("plain", 2), Case("plain", 5), Case("ask", 3), Case("ask approve person", 4)]
UNKNOWN = [
    Case("plain"),
    Case("ask approve"),
    Case("approve", review="approve"),
    Case("ask", review="they got it"),
    Case("person", review="reject"),
]
REPLIES = [Case("ask"), Case("approve"), Case("person"), Case("ask approve", 2), Case("ask approve person", 3)]
CASES: dict[str, Sequence[Case]] = {
    "accept.before_commit": ONCE,
    "accept.after_commit": ONCE,
    "step.intended": UNKNOWN,
    "step.done": STEPS,
    "step.recorded": STEPS,
    "reply.before_commit": REPLIES,
    "reply.after_commit": REPLIES,
}


@dataclass(frozen=True)
class Ledger:
    """What the steps did, as they noted it themselves."""

    calls: dict[str, int]
    """How often each step was called."""
    repeated: list[str]
    """Steps that were called although the journal had their record."""
    effects: list[str]
    """Steps whose effect happened, once per idempotency key."""


def read_ledger(path: Path) -> Ledger:
    with closing(open_ledger(path)) as ledger:
        calls = dict(ledger.execute("SELECT key, count(*) FROM calls GROUP BY key"))
        repeated = [row[0] for row in ledger.execute("SELECT key FROM calls WHERE was_recorded")]
        effects = [row[0] for row in ledger.execute("SELECT key FROM effects ORDER BY key")]
    return Ledger(calls, repeated, effects)


def crashed(at: str, case: Case, ledger: Path) -> CrashReport:
    """Kill once, let another process go on, and check what holds after every crash."""
    # A lease that outlasts the test: what was running goes on because it is re-armed, not because time passed.
    environ = {"CRASH_LEDGER": str(ledger), "BATON_LEASE_S": "600"}
    options: crash.Options = {"replies": case.replies, "environ": environ}
    if case.review:
        options["review"] = case.review
    report = crash.run(TARGET, send=case.path, at=at, count=case.count, **options).check()
    did = read_ledger(ledger)
    assert did.repeated == [], report
    assert len(set(did.effects)) == len(did.effects), f"an effect happened under two keys: {did.effects}"
    assert did.calls.get("notify", 0) <= 1 + (case.review == "approve"), report
    assert max(report.attempts.values()) <= 2, report.attempts
    if report.result.status == "completed":
        assert did.effects == KEYED, report
        assert {step.key for step in report.steps} >= {"look", "reserve", "charge", "notify", "book"}
    return report


def crashed_in_all(at: str, cases: Sequence[Case], folder: Path) -> list[tuple[Case, CrashReport, Ledger]]:
    """Do several crashes, two at a time, each with a ledger of its own."""
    ledgers = [folder / f"ledger-{number}.db" for number in range(len(cases))]
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(crashed, [at] * len(cases), cases, ledgers))
    return list(zip(cases, reports, map(read_ledger, ledgers), strict=True))


@pytest.mark.parametrize("at", [point for point in crash.POINTS if point != "step.intended"])
def test_a_run_survives_a_kill_at(at: str, tmp_path: Path) -> None:
    for case, report, _ in crashed_in_all(at, CASES.get(at, HOPS), tmp_path):
        assert report.result.status == "completed", f"{report} on {case}: {report.result}"
        assert report.terminal_count == 1
        assert report.result.trail[:3] == ("router", "front", "back")


@pytest.mark.parametrize("at", ["step.intended", "step.done"])
def test_an_unsafe_step_of_unknown_outcome_waits_for_a_person(at: str, tmp_path: Path) -> None:
    """Killed between the intent and the record; nobody but a person may say what became of it."""
    happened = at == "step.done"
    before = {"plain": 4, "ask": 5, "approve": 4, "ask approve": 5, "person": 4}
    cases = [replace(case, count=before[case.path] if happened else 1) for case in UNKNOWN]
    for case, report, ledger in crashed_in_all(at, cases, tmp_path):
        calls = ledger.calls.get("notify", 0)
        reviews = [wait for wait in report.story.waits if wait.kind == "review"]
        assert len(reviews) == 1, f"{report} on {case}"
        if case.review is None:
            question = report.result.question
            assert question is not None
            assert question.kind == "review"
            assert calls == happened
        elif case.review == "approve":
            assert report.result.status == "completed"
            assert calls == 1 + happened
        elif case.review == "reject":
            assert report.result.status == "failed"
            assert calls == happened
        else:
            assert report.result.text == f"done: {case.review}"
            assert calls == happened
