"""The shipped desk, killed at each point of a request: the bank's ledger shows each effect once."""

import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from baton.testing import crash
from baton.testing.crash import CrashReport
from services.demo import REQUESTS, DemoRequest

pytestmark = pytest.mark.crash

DESK = "services.team:desk"
STOLEN, REFUND = REQUESTS[0], REQUESTS[1]
REPLY = ("reply.before_commit", "reply.after_commit")
PASSINGS = [
    ("accept.before_commit", 1),
    ("accept.after_commit", 1),
    ("hop.delivered", 2),
    ("hop.claimed", 3),
    ("step.done", 3),  # the card is frozen
    ("step.done", 6),  # the case is open
    ("step.recorded", 3),
    ("step.recorded", 6),
    ("turn.returned", 2),
    ("finish.before_commit", 3),
    ("finish.after_commit", 1),
    ("hop.published", 2),
    ("hop.acked", 1),
]
"""Every point that the request passes; the desk has no unsafe steps, and this request no wait."""


def crashed(request: DemoRequest, passing: tuple[str, int], bank: Path, replies: Sequence[str] = ()) -> CrashReport:
    return crash.run(
        DESK,
        send=request.text,
        at=passing[0],
        count=passing[1],
        facts=request.facts,
        replies=replies,
        environ={"DESK_BANK_URL": f"sqlite:///{bank}"},
    ).check()


def effects(bank: Path) -> list[tuple[str, str]]:
    """Return what happened in the bank, by effect and customer; one row for each key it happened under."""
    with closing(sqlite3.connect(bank)) as connection:
        return sorted(connection.execute("SELECT effect, customer FROM ledger").fetchall())


def test_every_point_is_tried() -> None:
    assert {point for point, _ in PASSINGS} | {"step.intended", *REPLY} == set(crash.POINTS)


@pytest.mark.timeout(240)
def test_a_stolen_card_is_frozen_and_disputed_once_wherever_the_desk_is_killed(tmp_path: Path) -> None:
    banks = [tmp_path / f"bank-{number}.db" for number in range(len(PASSINGS))]
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(crashed, [STOLEN] * len(PASSINGS), PASSINGS, banks))
    for report, bank in zip(reports, banks, strict=True):
        assert report.result.status == "completed", report
        assert report.result.trail == STOLEN.trail
        assert report.result.facts["frozen"] == "stolen"
        assert effects(bank) == [("freeze_card", "tomas"), ("open_case", "tomas")], report


@pytest.mark.parametrize("at", REPLY)
def test_an_approved_refund_is_paid_once_wherever_the_desk_is_killed(at: str, tmp_path: Path) -> None:
    bank = tmp_path / "bank.db"
    report = crashed(REFUND, (at, 1), bank, ["approve"])
    assert report.result.status == "completed"
    assert effects(bank).count(("refund", "priya")) == 1
