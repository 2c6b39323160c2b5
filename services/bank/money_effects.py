"""What the bank can do to money: refund, cancel a transfer, exchange, top up by itself, close an account.

In: ids, integer minor units and the step's idempotency key. Out: a receipt, the same for the same key.
"""

from services.bank.calendar import TODAY
from services.bank.errors import EffectRefusedError, UnknownRecordError
from services.bank.lookups import Lookups
from services.bank.records import Receipt, Transaction, money
from services.bank.store import Effect


class MoneyEffects(Lookups):
    """The effects on balances; part of `Bank`."""

    def refund(self, transaction: str, *, idempotency_key: str) -> Receipt:
        """Pay a completed payment back to the account it came from.

        Raises:
            UnknownRecordError: There is no such transaction.
            EffectRefusedError: It is no completed card payment or direct debit.
        """
        paid = self.transaction(transaction)

        def act() -> Receipt:
            now = self.transaction(transaction)
            if now.status != "refunded":
                self._check_refundable(now)
                self._set_status(transaction, "refunded")
                self._credit(now.customer, now.currency, now.amount_minor)
            changed = now.status != "refunded"
            return Receipt(transaction, changed, f"refund: {now.label}", now.amount_minor, now.currency, TODAY)

        return self._store.apply(Effect("refund", idempotency_key, paid.customer), act)

    def return_fee(self, transaction: str, *, idempotency_key: str) -> Receipt:
        """Pay back the fee that was taken on a transaction.

        Raises:
            UnknownRecordError: There is no such transaction.
        """
        paid = self.transaction(transaction)

        def act() -> Receipt:
            now = self.transaction(transaction)
            self._store.change("UPDATE transactions SET fee_minor = 0 WHERE id = ?", transaction)
            self._credit(now.customer, now.currency, now.fee_minor)
            changed = now.fee_minor > 0
            return Receipt(transaction, changed, f"fee of {now.label}", now.fee_minor, now.currency, TODAY)

        return self._store.apply(Effect("return_fee", idempotency_key, paid.customer), act)

    def cancel_transfer(self, transaction: str, *, idempotency_key: str) -> Receipt:
        """Take back a transfer that is still pending.

        Returns:
            `changed` false: it had been cancelled before.

        Raises:
            UnknownRecordError: There is no such transaction.
            EffectRefusedError: It is no pending transfer, so the money is gone.
        """
        sent = self.transaction(transaction)

        def act() -> Receipt:
            now = self.transaction(transaction)
            if now.status != "cancelled":
                if (now.kind, now.status) != ("transfer_out", "pending"):
                    raise EffectRefusedError(
                        f"transaction {transaction!r} is a {now.status} {now.kind}; "
                        "only a pending transfer_out can be cancelled"
                    )
                self._set_status(transaction, "cancelled")
                self._credit(now.customer, now.currency, now.amount_minor + now.fee_minor)
            changed = now.status != "cancelled"
            return Receipt(transaction, changed, f"cancelled: {now.label}", now.amount_minor, now.currency, TODAY)

        return self._store.apply(Effect("cancel_transfer", idempotency_key, sent.customer), act)

    def exchange(self, customer: str, amount_minor: int, base: str, quote: str, *, idempotency_key: str) -> Receipt:
        """Change money between two currencies of a customer at today's rate.

        Args:
            customer: The customer's id.
            amount_minor: What is given, in minor units of `base`; > 0.
            base: The currency given, such as `GBP`.
            quote: The currency taken, such as `EUR`.
            idempotency_key: One exchange per key.

        Returns:
            What was taken, in minor units of `quote`.

        Raises:
            UnknownCustomerError: There is no such customer.
            UnknownRecordError: There is no such account or rate.
            EffectRefusedError: The balance does not cover the amount.
        """
        source = self.account(customer, base)
        rate_millionths = self._rate(base, quote)

        def act() -> Receipt:
            if self.account(customer, base).balance_minor < amount_minor or amount_minor <= 0:
                raise EffectRefusedError(
                    f"{money(amount_minor, base)} cannot be taken from a balance of {source.balance}"
                )
            taken_minor = amount_minor * rate_millionths // 1_000_000
            self._credit(customer, base, -amount_minor)
            self._credit(customer, quote, taken_minor)
            detail = f"{money(amount_minor, base)} to {money(taken_minor, quote)}"
            return Receipt(f"{customer}/{quote}", True, detail, taken_minor, quote, TODAY)

        return self._store.apply(Effect("exchange", idempotency_key, customer), act)

    def set_auto_top_up(self, customer: str, below_minor: int, amount_minor: int, *, idempotency_key: str) -> Receipt:
        """Switch automatic top-up on: `amount_minor` whenever the balance falls below `below_minor`.

        Args:
            customer: The customer's id.
            below_minor: Minor units of GBP; > 0.
            amount_minor: Minor units of GBP; > 0.
            idempotency_key: One change per key.

        Raises:
            UnknownCustomerError: There is no such customer.
        """
        self.customer(customer)

        def act() -> Receipt:
            account = self.account(customer)
            self._store.change(
                "UPDATE accounts SET top_up_below_minor = ?, top_up_amount_minor = ? WHERE id = ?",
                *(below_minor, amount_minor, account.id),
            )
            changed = (account.top_up_below_minor, account.top_up_amount_minor) != (below_minor, amount_minor)
            detail = f"top up {money(amount_minor, 'GBP')} below {money(below_minor, 'GBP')}"
            return Receipt(account.id, changed, detail, amount_minor, "GBP", TODAY)

        return self._store.apply(Effect("set_auto_top_up", idempotency_key, customer), act)

    def close_account(self, customer: str, *, idempotency_key: str) -> Receipt:
        """Close all accounts of a customer; they have to be empty.

        Raises:
            UnknownCustomerError: There is no such customer.
            EffectRefusedError: There is money on an account, or a debt.
        """
        self.customer(customer)

        def act() -> Receipt:
            open_accounts = [one for one in self.accounts(customer) if one.status == "open"]
            held = [one.balance for one in open_accounts if one.balance_minor != 0]
            if held:
                raise EffectRefusedError(f"accounts of {customer!r} hold {', '.join(held)}; they have to be empty")
            self._store.change("UPDATE accounts SET status = 'closed' WHERE customer = ?", customer)
            detail = f"{len(open_accounts)} account(s) closed"
            return Receipt(customer, bool(open_accounts), detail, 0, "GBP", TODAY)

        return self._store.apply(Effect("close_account", idempotency_key, customer), act)

    def _check_refundable(self, paid: Transaction) -> None:
        if paid.status != "completed" or paid.kind not in ("card_payment", "direct_debit"):
            raise EffectRefusedError(
                f"transaction {paid.id!r} is a {paid.status} {paid.kind}; "
                "only a completed card payment or direct debit can be refunded"
            )

    def _set_status(self, transaction: str, status: str) -> None:
        sql = "UPDATE transactions SET status = ?, due_on = '' WHERE id = ?"
        self._store.change(sql, status, transaction)

    def _credit(self, customer: str, currency: str, amount_minor: int) -> None:
        sql = "UPDATE accounts SET balance_minor = balance_minor + ? WHERE customer = ? AND currency = ?"
        if self._store.change(sql, amount_minor, customer, currency) != 1:
            raise UnknownRecordError("account", f"{customer}/{currency}")

    def _rate(self, base: str, quote: str) -> int:
        for rate in self.rates(base):
            if rate.quote == quote:
                return rate.rate_millionths
        raise UnknownRecordError("rate", f"{base}/{quote}")
