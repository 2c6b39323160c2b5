"""Reading the bank: every lookup an agent's step makes; none of them changes anything.

In: a customer's id and what is looked for. Out: records of `records`, newest first.
"""

from services.bank.errors import UnknownCustomerError, UnknownRecordError
from services.bank.records import (
    Account,
    Beneficiary,
    Card,
    Case,
    Customer,
    Entry,
    IdentityCheck,
    Machine,
    Order,
    Rate,
    Tariff,
    Transaction,
)
from services.bank.store import Store


class Lookups:
    """The reading half of `Bank`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def customers(self) -> list[Customer]:
        """Return all customers, by id."""
        return self._store.all(Customer, "SELECT * FROM customers ORDER BY id")

    def find_customer(self, customer: str) -> Customer | None:
        """Return the customer of that id, or None."""
        return self._store.one(Customer, "SELECT * FROM customers WHERE id = ?", customer)

    def customer(self, customer: str) -> Customer:
        """Return the customer of that id.

        Raises:
            UnknownCustomerError: There is none.
        """
        found = self.find_customer(customer)
        if found is None:
            raise UnknownCustomerError(customer)
        return found

    def accounts(self, customer: str) -> list[Account]:
        """Return the accounts of a customer, the largest balance first."""
        self.customer(customer)
        sql = "SELECT * FROM accounts WHERE customer = ? ORDER BY balance_minor DESC, id"
        return self._store.all(Account, sql, customer)

    def account(self, customer: str, currency: str = "GBP") -> Account:
        """Return a customer's account in one currency.

        Raises:
            UnknownCustomerError: There is no such customer.
            UnknownRecordError: The customer holds no such account.
        """
        for account in self.accounts(customer):
            if account.currency == currency:
                return account
        raise UnknownRecordError("account", f"{customer}/{currency}")

    def cards(self, customer: str, kind: str = "") -> list[Card]:
        """Return a customer's cards, active ones first; `kind` empty: of every kind."""
        self.customer(customer)
        sql = (
            "SELECT * FROM cards WHERE customer = ? AND ? IN ('', kind) "
            "ORDER BY status <> 'active', kind <> 'physical', id"
        )
        return self._store.all(Card, sql, customer, kind)

    def card(self, card: str) -> Card:
        """Return the card of that id.

        Raises:
            UnknownRecordError: There is none.
        """
        found = self._store.one(Card, "SELECT * FROM cards WHERE id = ?", card)
        if found is None:
            raise UnknownRecordError("card", card)
        return found

    def transactions(self, customer: str, kind: str, status: str = "", flag: str | None = None) -> list[Transaction]:
        """Return a customer's transactions, newest first.

        Args:
            customer: The customer's id.
            kind: A kind of transaction, such as `card_payment`; empty: every kind.
            status: A status, such as `pending`; empty: every status.
            flag: The bank's own mark, such as `unusual`; None: any; empty: only those without.
        """
        self.customer(customer)
        sql = (
            "SELECT * FROM transactions WHERE customer = ? AND ? IN ('', kind) AND ? IN ('', status) "
            "AND (CAST(? AS TEXT) IS NULL OR flag = ?) ORDER BY booked_on DESC, id DESC"
        )
        return self._store.all(Transaction, sql, customer, kind, status, flag, flag)

    def transaction(self, transaction: str) -> Transaction:
        """Return the transaction of that id.

        Raises:
            UnknownRecordError: There is none.
        """
        found = self._store.one(Transaction, "SELECT * FROM transactions WHERE id = ?", transaction)
        if found is None:
            raise UnknownRecordError("transaction", transaction)
        return found

    def transaction_of(self, customer: str, transaction: str) -> Transaction:
        """Return a customer's own transaction; for ids that came from outside.

        Raises:
            UnknownRecordError: There is none of that id, or it is somebody else's.
        """
        found = self.transaction(transaction)
        if found.customer != customer:
            raise UnknownRecordError("transaction", transaction)
        return found

    def duplicates(self, customer: str) -> list[Transaction]:
        """Return completed card payments that repeat an earlier one: same shop, amount and day."""
        self.customer(customer)
        sql = (
            "SELECT later.* FROM transactions AS later JOIN transactions AS first USING "
            "(customer, kind, counterparty, amount_minor, currency, booked_on) "
            "WHERE customer = ? AND kind = 'card_payment' AND later.status IN ('completed', 'refunded') "
            "AND first.status = 'completed' AND first.id < later.id ORDER BY later.id DESC"
        )
        return self._store.all(Transaction, sql, customer)

    def beneficiaries(self, customer: str, status: str = "") -> list[Beneficiary]:
        """Return whom a customer sends money to, by name; `status` empty: all of them."""
        self.customer(customer)
        sql = "SELECT * FROM beneficiaries WHERE customer = ? AND ? IN ('', status) ORDER BY name"
        return self._store.all(Beneficiary, sql, customer, status)

    def orders(self, customer: str) -> list[Order]:
        """Return a customer's card orders, the newest first."""
        self.customer(customer)
        sql = "SELECT * FROM orders WHERE customer = ? ORDER BY ordered_on DESC, id DESC"
        return self._store.all(Order, sql, customer)

    def cases(self, customer: str) -> list[Case]:
        """Return a customer's cases, the newest first."""
        self.customer(customer)
        sql = "SELECT * FROM cases WHERE customer = ? ORDER BY opened_on DESC, id DESC"
        return self._store.all(Case, sql, customer)

    def identity_check(self, customer: str) -> IdentityCheck | None:
        """Return a customer's newest identity check, or None where none was ever started."""
        self.customer(customer)
        sql = "SELECT * FROM identity_checks WHERE customer = ? ORDER BY started_on DESC, id DESC"
        return self._store.one(IdentityCheck, sql, customer)

    def tariff(self, name: str) -> Tariff:
        """Return one line of fees, limits and terms.

        Raises:
            UnknownRecordError: There is none of that name.
        """
        found = self._store.one(Tariff, "SELECT * FROM tariffs WHERE name = ?", name)
        if found is None:
            raise UnknownRecordError("tariff", name)
        return found

    def rates(self, base: str = "GBP") -> list[Rate]:
        """Return today's rates for one unit of `base`, by the other currency; empty for an unknown one."""
        return self._store.all(Rate, "SELECT * FROM rates WHERE base = ? ORDER BY quote", base)

    def machines(self, city: str = "") -> list[Machine]:
        """Return cash machines without a fee of their own; `city` empty: of every city."""
        sql = "SELECT * FROM machines WHERE ? IN ('', city) ORDER BY city, id"
        return self._store.all(Machine, sql, city)

    def ledger(self, customer: str = "", effect: str = "") -> list[Entry]:
        """Return the effects that happened, oldest first; empty arguments mean all."""
        sql = (
            "SELECT key, effect, customer, detail, amount_minor, at, attempts FROM ledger "
            "WHERE ? IN ('', customer) AND ? IN ('', effect) ORDER BY rowid"
        )
        return self._store.all(Entry, sql, customer, effect)
