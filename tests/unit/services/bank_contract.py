"""What every bank has to do, wherever its rows are: seeded once, every effect once per key, whoever calls.

A module that runs it has fixtures `bank` (open), `bank_url` (of the same bank) and `new_url` (of a bank that
nobody opened yet), and a class that inherits `BankContract`.
"""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.bank import Bank, EffectRefusedError, KeyReusedError, UnknownCustomerError, UnknownRecordError
from services.bank.records import Receipt

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


def in_processes(count: int, url: str, statement: str) -> list[str]:
    """Run a statement on `bank` in so many processes at once, and return what each printed."""
    script = f"from services.bank import Bank; bank = Bank.open({url!r}); {statement}"
    started = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(count)
    ]
    told = [process.communicate(timeout=60)[0].strip() for process in started]
    assert [process.returncode for process in started] == [0] * count
    return told


class BankContract:
    """One suite for every store."""

    @pytest.mark.parametrize("name", EFFECTS)
    def test_an_effect_happens_once_per_key_and_is_counted(self, bank: Bank, name: str) -> None:
        first = EFFECTS[name](bank, "key-1")
        after = everything(bank)
        assert EFFECTS[name](bank, "key-1") == first
        assert everything(bank) == after
        (entry,) = bank.ledger()
        assert (entry.key, entry.effect, entry.attempts) == ("key-1", name, 2)
        assert (entry.detail, entry.amount_minor) == (first.detail, first.amount_minor)

    @pytest.mark.parametrize("name", EFFECTS)
    def test_an_effect_happens_once_when_threads_race_with_one_key(self, bank: Bank, name: str) -> None:
        with ThreadPoolExecutor(8) as threads:
            receipts = list(threads.map(lambda _: EFFECTS[name](bank, "key-1"), range(8)))
        assert receipts == [receipts[0]] * 8
        assert [entry.attempts for entry in bank.ledger()] == [8]

    def test_an_effect_happens_once_when_two_openers_race_with_one_key(self, bank: Bank, bank_url: str) -> None:
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

    def test_threads_with_keys_of_their_own_get_numbers_of_their_own(self, bank: Bank) -> None:
        def open_case(number: int) -> str:
            return bank.open_case("maya", "other", f"subject-{number}", idempotency_key=f"key-{number}").reference

        with ThreadPoolExecutor(8) as threads:
            numbers = list(threads.map(open_case, range(40)))
        assert len(set(numbers)) == 40
        assert len(bank.cases("maya")) == 40

    def test_a_key_stands_for_one_effect_and_one_customer(self, bank: Bank) -> None:
        bank.lock_app("maya", idempotency_key="one")
        with pytest.raises(KeyReusedError, match="lock_app"):
            bank.send_link("maya", "new passcode", idempotency_key="one")
        with pytest.raises(KeyReusedError):
            bank.lock_app("tomas", idempotency_key="one")
        assert [entry.attempts for entry in bank.ledger()] == [1]

    def test_another_key_finds_the_effect_done_and_changes_nothing(self, bank: Bank) -> None:
        before = balance(bank)
        first = bank.refund("T-1005", idempotency_key="one")
        second = bank.refund("T-1005", idempotency_key="two")
        assert (first.changed, second.changed) == (True, False)
        assert balance(bank) == before + first.amount_minor

    def test_another_key_finds_the_card_ordered_and_the_case_open(self, bank: Bank) -> None:
        for name in ("order_card", "open_case", "freeze_card", "start_identity_check", "cancel_transfer"):
            first, second = EFFECTS[name](bank, f"{name}-1"), EFFECTS[name](bank, f"{name}-2")
            assert (first.changed, second.changed, second.reference) == (True, False, first.reference), name

    def test_a_refused_effect_leaves_no_trace_and_its_key_stays_free(self, bank: Bank) -> None:
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

    def test_money_moves_by_minor_units_and_none_is_lost(self, bank: Bank) -> None:
        receipt = bank.exchange("maya", 3_333, "GBP", "EUR", idempotency_key="one")
        assert receipt.amount_minor == 3_333 * 1_164_200 // 1_000_000
        assert (balance(bank), balance(bank, currency="EUR")) == (184_260 - 3_333, 32_000 + receipt.amount_minor)
        cancelled = bank.cancel_transfer(pending_transfer(bank), idempotency_key="two")
        assert balance(bank) == 184_260 - 3_333 + cancelled.amount_minor

    def test_unknown_customers_and_records_are_named(self, bank: Bank) -> None:
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

    def test_a_transaction_of_somebody_else_is_not_told(self, bank: Bank) -> None:
        assert bank.transaction_of("maya", "T-1005").customer == "maya"
        with pytest.raises(UnknownRecordError):
            bank.transaction_of("tomas", "T-1005")

    def test_lookups_come_newest_first_and_by_what_is_asked(self, bank: Bank) -> None:
        paid = bank.transactions("maya", "card_payment")
        assert [one.booked_on for one in paid] == sorted((one.booked_on for one in paid), reverse=True)
        assert {one.status for one in bank.transactions("maya", "", "pending")} == {"pending"}
        assert [one.flag for one in bank.transactions("maya", "withdrawal", "", "short")] == ["short"]
        assert all(not one.flag for one in bank.transactions("maya", "card_payment", "", ""))
        assert [one.counterparty for one in bank.duplicates("maya")] == ["Tavola Kiosk"]

    def test_opening_again_seeds_nothing_anew(self, bank: Bank, bank_url: str) -> None:
        bank.freeze_card("K-1", "lost", idempotency_key="one")
        again = Bank.open(bank_url)
        assert everything(again) == everything(bank)
        assert again.card("K-1").status == "frozen"
        again.close()

    def test_every_new_bank_is_the_same(self, bank: Bank, new_url: str) -> None:
        other = Bank.open(new_url)
        assert everything(other) == everything(bank)
        assert [other.machines(), other.rates(), other.ledger()] == [bank.machines(), bank.rates(), []]
        other.close()

    @pytest.mark.slow
    def test_processes_that_open_a_new_bank_at_once_seed_it_once(self, new_url: str) -> None:
        told = in_processes(4, new_url, "print(len(bank.transactions('maya', '')))")
        opened = Bank.open(new_url)
        assert told == [str(len(opened.transactions("maya", "")))] * 4
        opened.close()

    @pytest.mark.slow
    def test_an_effect_happens_once_when_processes_race_with_one_key(self, bank: Bank, bank_url: str) -> None:
        before = balance(bank)
        told = in_processes(4, bank_url, "print([bank.refund('T-1005', idempotency_key='one') for _ in range(25)])")
        receipt = bank.refund("T-1005", idempotency_key="one")
        assert told == [repr([receipt] * 25)] * 4
        assert [entry.attempts for entry in bank.ledger()] == [101]
        assert balance(bank) == before + receipt.amount_minor

    def test_restoring_puts_the_records_back_and_keeps_the_ledger(self, bank: Bank) -> None:
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
