"""The bank in a SQLite file keeps the contract; the environment says which bank it is."""

import sqlite3
from pathlib import Path

import pytest

from services.bank import Bank, BankUrlError
from services.bank.calendar import in_working_days
from services.bank.records import money
from tests.unit.services.bank_contract import BankContract


@pytest.fixture
def new_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'new' / 'bank.db'}"


class TestSqliteBank(BankContract):
    """The contract over a file."""


@pytest.mark.parametrize("url", ["mysql://bank", "sqlite:///", "bank.db", "sqlite:bank.db"])
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(BankUrlError, match="sqlite:///PATH or postgresql://"):
        Bank.open(url)


def test_a_file_that_is_no_bank_is_refused_and_left_alone(tmp_path: Path) -> None:
    text, foreign = tmp_path / "text.db", tmp_path / "foreign.db"
    text.write_bytes(b"no database at all " * 100)
    with sqlite3.connect(foreign) as db:
        db.execute("CREATE TABLE mine (id INTEGER)")
    db.close()
    for path in (text, foreign):
        before = path.read_bytes()
        with pytest.raises(BankUrlError, match=path.name):
            Bank.open(f"sqlite:///{path}")
        assert path.read_bytes() == before


def test_a_bank_of_a_newer_desk_is_refused(bank: Bank, bank_url: str) -> None:
    bank.close()
    with sqlite3.connect(bank_url.removeprefix("sqlite:///")) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(BankUrlError, match="version 99"):
        Bank.open(bank_url)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BankUrlError, match="cannot be opened"):
        Bank.open(f"sqlite:///{tmp_path / 'file' / 'bank.db'}")


def test_the_environment_names_the_bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Bank.from_env({"DESK_BANK_URL": f"sqlite:///{tmp_path / 'named.db'}"}).close()
    assert (tmp_path / "named.db").exists()
    monkeypatch.chdir(tmp_path)
    Bank.from_env({}).close()
    assert (tmp_path / ".baton" / "bank.db").exists()


def test_a_file_may_hold_the_url(tmp_path: Path) -> None:
    secret = tmp_path / "bank_url"
    secret.write_text(f"sqlite:///{tmp_path / 'named.db'}\n", encoding="utf-8")
    Bank.from_env({"DESK_BANK_URL_FILE": str(secret)}).close()
    assert (tmp_path / "named.db").exists()
    with pytest.raises(BankUrlError, match=r"DESK_BANK_URL_FILE is '.*gone'"):
        Bank.from_env({"DESK_BANK_URL_FILE": str(tmp_path / "gone")})
    with pytest.raises(BankUrlError, match="both set"):
        Bank.from_env({"DESK_BANK_URL_FILE": str(secret), "DESK_BANK_URL": "sqlite:///bank.db"})


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://u:secret@host/db?search_path=a,b", "search_path='a,b'; allowed is one schema"),
        ("postgresql://u:secret@host/db?search_path=", "search_path=''"),
        ("postgresql://u:secret@host/db?options=-c%20search_path%3Da", "say search_path=NAME instead"),
        ("postgresql://u:secret@host/db?pool=3", "pool"),
        ("mysql://u:secret@host/db", r"mysql://u:\*\*\*@host"),
    ],
)
def test_a_url_of_postgres_that_cannot_be_read_is_told_without_its_password(url: str, told: str) -> None:
    with pytest.raises(BankUrlError, match=told) as raised:
        Bank.open(url)
    assert "secret" not in str(raised.value)


def test_working_days_leave_weekends_out() -> None:
    assert [in_working_days(days) for days in (0, 1, 4, 5)] == [
        "2026-03-02",
        "2026-03-03",
        "2026-03-06",
        "2026-03-09",
    ]


def test_money_is_shown_with_two_decimals() -> None:
    assert [money(5, "GBP"), money(18_000, "GBP"), money(123_456_789, "EUR")] == [
        "0.05 GBP",
        "180.00 GBP",
        "1,234,567.89 EUR",
    ]
