"""The bank: seeded once, every effect once per key, whoever calls and however often."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.bank import (
    Bank,
    BankUrlError,
    EffectRefusedError,
    KeyReusedError,
    UnknownCustomerError,
    UnknownRecordError,
)
from services.bank.calendar import in_working_days
from services.bank.records import Receipt, money

Act = Callable[[Bank, str], Receipt]

EFFECTS: dict[str, Act] = {
    "freeze_card": lambda bank, key: bank.freeze_card("K-1", "lost", idempotency_key=key),
    "activate_card": lambda bank, key: bank.activate_card("K-2", idempotency_key=key),
    "unblock_pin": lambda bank, key: bank.unblock_pin("K-4", idempotency_key=key),
    "order_card": lambda bank, key: bank.order_card("maya", "spare", "Visa", idempotency_key=key),
    "issue_virtual_card": lambda bank, key: bank.issue_virtual_card("maya", "disposable", idempotency_key=key),
    "refund": lambda bank, key: bank.refund("T-1005", idempotency_key=key),
    "return_fee": lambda bank, key: bank.return_fee("T-1007", idempotency_key=key),
    "cancel_transfer": lambda bank, key: bank.cancel_transfer(pending_transfer(bank), idempotency_key=key),
    "exchange": lambda bank, key: bank.exchange("maya", 5_000, "GBP", "EUR", idempotency_key=key),
    "set_auto_top_up": lambda bank, key: bank.set_auto_top_up("maya", 2_000, 5_000, idempotency_key=key),
    "close_account": lambda bank, key: bank.close_account("noah", idempotency_key=key),
    "open_case": lambda bank, key: bank.open_case("maya", "unknown payment", "T-1009", idempotency_key=key),
    "start_identity_check": lambda bank, key: bank.start_identity_check("maya", idempotency_key=key),
    "send_link": lambda bank, key: bank.send_link("maya", "new passcode", idempotency_key=key),
    "lock_app": lambda bank, key: bank.lock_app("maya", idempotency_key=key),
}


def pending_transfer(bank: Bank) -> str:
    sent = bank.transactions("maya", "transfer_out")
    return next(one.id for one in sent if one.counterparty == "Jonas Weber")


def balance(bank: Bank, customer: str = "maya", currency: str = "GBP") -> int:
    return bank.account(customer, currency).balance_minor


def everything(bank: Bank) -> list[object]:
    """Return all records of all customers, for comparing two states of the bank."""
    return [
        (
            one,
            bank.accounts(one.id),
            bank.cards(one.id),
            bank.transactions(one.id, ""),
            bank.orders(one.id),
            bank.cases(one.id),
            bank.identity_check(one.id),
        )
        for one in bank.customers()
    ]


@pytest.mark.parametrize("name", EFFECTS)
def test_an_effect_happens_once_per_key_and_is_counted(bank: Bank, name: str) -> None:
    first = EFFECTS[name](bank, "key-1")
    after = everything(bank)
    assert EFFECTS[name](bank, "key-1") == first
    assert everything(bank) == after
    (entry,) = bank.ledger()
    assert (entry.key, entry.effect, entry.attempts) == ("key-1", name, 2)
    assert (entry.detail, entry.amount_minor) == (first.detail, first.amount_minor)


@pytest.mark.parametrize("name", EFFECTS)
def test_an_effect_happens_once_when_threads_race_with_one_key(bank: Bank, name: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        receipts = list(threads.map(lambda _: EFFECTS[name](bank, "key-1"), range(8)))
    assert receipts == [receipts[0]] * 8
    assert [entry.attempts for entry in bank.ledger()] == [8]


def test_an_effect_happens_once_when_two_openers_race_with_one_key(bank: Bank, bank_url: str) -> None:
    other = Bank.open(bank_url)
    before = balance(bank)
    with ThreadPoolExecutor(8) as threads:
        receipts = list(
            threads.map(lambda turn: (bank, other)[turn % 2].refund("T-1005", idempotency_key="one"), range(40))
        )
    assert receipts == [receipts[0]] * 40
    assert [entry.attempts for entry in bank.ledger(effect="refund")] == [40]
    assert balance(other) == before + receipts[0].amount_minor
    other.close()


def test_threads_with_keys_of_their_own_get_numbers_of_their_own(bank: Bank) -> None:
    def open_case(number: int) -> str:
        return bank.open_case("maya", "other", f"subject-{number}", idempotency_key=f"key-{number}").reference

    with ThreadPoolExecutor(8) as threads:
        numbers = list(threads.map(open_case, range(40)))
    assert len(set(numbers)) == 40
    assert len(bank.cases("maya")) == 40


def test_a_key_stands_for_one_effect_and_one_customer(bank: Bank) -> None:
    bank.lock_app("maya", idempotency_key="one")
    with pytest.raises(KeyReusedError, match="lock_app"):
        bank.send_link("maya", "new passcode", idempotency_key="one")
    with pytest.raises(KeyReusedError):
        bank.lock_app("tomas", idempotency_key="one")
    assert [entry.attempts for entry in bank.ledger()] == [1]


def test_another_key_finds_the_effect_done_and_changes_nothing(bank: Bank) -> None:
    before = balance(bank)
    first = bank.refund("T-1005", idempotency_key="one")
    second = bank.refund("T-1005", idempotency_key="two")
    assert (first.changed, second.changed) == (True, False)
    assert balance(bank) == before + first.amount_minor


def test_another_key_finds_the_card_ordered_and_the_case_open(bank: Bank) -> None:
    for name in ("order_card", "open_case", "freeze_card", "start_identity_check", "cancel_transfer"):
        first, second = EFFECTS[name](bank, f"{name}-1"), EFFECTS[name](bank, f"{name}-2")
        assert (first.changed, second.changed, second.reference) == (True, False, first.reference), name


def test_a_refused_effect_leaves_no_trace_and_its_key_stays_free(bank: Bank) -> None:
    before = everything(bank)
    with pytest.raises(EffectRefusedError, match="only a completed"):
        bank.refund("T-1002", idempotency_key="one")
    with pytest.raises(EffectRefusedError, match="only a pending"):
        bank.cancel_transfer("T-1005", idempotency_key="one")
    with pytest.raises(EffectRefusedError, match="balance"):
        bank.exchange("maya", 10**9, "GBP", "EUR", idempotency_key="one")
    with pytest.raises(EffectRefusedError, match=r"hold 1,842\.60 GBP"):
        bank.close_account("maya", idempotency_key="one")
    assert everything(bank) == before
    assert bank.ledger() == []
    assert bank.lock_app("maya", idempotency_key="one").changed


def test_money_moves_by_minor_units_and_none_is_lost(bank: Bank) -> None:
    receipt = bank.exchange("maya", 3_333, "GBP", "EUR", idempotency_key="one")
    assert receipt.amount_minor == 3_333 * 1_164_200 // 1_000_000
    assert (balance(bank), balance(bank, currency="EUR")) == (184_260 - 3_333, 32_000 + receipt.amount_minor)
    cancelled = bank.cancel_transfer(pending_transfer(bank), idempotency_key="two")
    assert balance(bank) == 184_260 - 3_333 + cancelled.amount_minor


def test_unknown_customers_and_records_are_named(bank: Bank) -> None:
    for lookup in (bank.customer, bank.accounts, bank.cards, bank.orders, bank.cases, bank.identity_check):
        with pytest.raises(UnknownCustomerError, match="'nobody'"):
            lookup("nobody")
    for act in (bank.lock_app, bank.start_identity_check, bank.close_account):
        with pytest.raises(UnknownCustomerError, match="'nobody'"):
            act("nobody", idempotency_key="one")
    with pytest.raises(UnknownRecordError, match="card 'K-99'"):
        bank.freeze_card("K-99", "lost", idempotency_key="one")
    with pytest.raises(UnknownRecordError, match="account 'erin/EUR'"):
        bank.account("erin", "EUR")
    with pytest.raises(UnknownRecordError, match="rate 'GBP/JPY'"):
        bank.exchange("maya", 100, "GBP", "JPY", idempotency_key="one")
    assert bank.ledger() == []


def test_a_transaction_of_somebody_else_is_not_told(bank: Bank) -> None:
    assert bank.transaction_of("maya", "T-1005").customer == "maya"
    with pytest.raises(UnknownRecordError):
        bank.transaction_of("tomas", "T-1005")


def test_lookups_come_newest_first_and_by_what_is_asked(bank: Bank) -> None:
    paid = bank.transactions("maya", "card_payment")
    assert [one.booked_on for one in paid] == sorted((one.booked_on for one in paid), reverse=True)
    assert {one.status for one in bank.transactions("maya", "", "pending")} == {"pending"}
    assert [one.flag for one in bank.transactions("maya", "withdrawal", "", "short")] == ["short"]
    assert all(not one.flag for one in bank.transactions("maya", "card_payment", "", ""))
    assert [one.counterparty for one in bank.duplicates("maya")] == ["Tavola Kiosk"]


def test_opening_again_seeds_nothing_anew(bank: Bank, bank_url: str) -> None:
    bank.freeze_card("K-1", "lost", idempotency_key="one")
    again = Bank.open(bank_url)
    assert everything(again) == everything(bank)
    assert again.card("K-1").status == "frozen"
    again.close()


def test_every_new_bank_is_the_same(bank: Bank, tmp_path: Path) -> None:
    other = Bank.open(f"sqlite:///{tmp_path / 'other.db'}")
    assert everything(other) == everything(bank)
    other.close()


@pytest.mark.slow
def test_processes_that_open_a_new_bank_at_once_seed_it_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new' / 'bank.db'}"
    script = f"from services.bank import Bank; print(len(Bank.open({url!r}).transactions('maya', '')))"
    started = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    told = [process.communicate(timeout=60)[0].strip() for process in started]
    assert [process.returncode for process in started] == [0] * 4
    opened = Bank.open(url)
    assert told == [str(len(opened.transactions("maya", "")))] * 4
    opened.close()


def test_restoring_puts_the_records_back_and_keeps_the_ledger(bank: Bank) -> None:
    before = everything(bank)
    for name, act in EFFECTS.items():
        act(bank, name)
    assert everything(bank) != before
    bank.restore()
    assert everything(bank) == before
    assert [entry.effect for entry in bank.ledger()] == list(EFFECTS)
    assert bank.open_case("maya", "other", "x", idempotency_key="new").reference not in {
        entry.detail for entry in bank.ledger()
    }


@pytest.mark.parametrize("url", ["postgresql://bank", "sqlite:///", "bank.db", "sqlite:bank.db"])
def test_a_url_that_is_no_sqlite_path_is_refused(url: str) -> None:
    with pytest.raises(BankUrlError, match="sqlite:///PATH"):
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
