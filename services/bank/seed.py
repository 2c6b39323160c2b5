"""What a new bank starts with: customers, their records, fees, limits, rates and cash machines.

In: a store, inside a transaction. Out: rows; the same in every bank.
"""

from collections.abc import Iterable, Sequence

from services.bank import schema
from services.bank.seed_customers import ACCOUNTS, BENEFICIARIES, CARDS, CASES, CHECKS, CUSTOMERS, ORDERS
from services.bank.seed_tariffs import MACHINES, RATES, TARIFFS
from services.bank.seed_transactions import transactions
from services.bank.store import Store

Row = Sequence[object]

SEEDED = tuple(row[0] for row in CUSTOMERS)
"""Ids of the customers that every bank starts with."""


def fill(store: Store) -> None:
    """Insert everything a new bank starts with."""
    _insert(store, "tariffs", TARIFFS)
    _insert(store, "rates", RATES)
    _insert(store, "machines", MACHINES)
    _insert(store, "customers", CUSTOMERS)
    _insert_records(store)


def restore(store: Store) -> None:
    """Put the records of the seeded customers back; nothing else is touched, not the ledger either."""
    marks = ", ".join("?" * len(SEEDED))
    for table in schema.CUSTOMER_TABLES:
        store.change(f"DELETE FROM {table} WHERE customer IN ({marks})", *SEEDED)
    store.change(f"UPDATE customers SET app = 'open' WHERE id IN ({marks})", *SEEDED)
    _insert_records(store)


def _insert_records(store: Store) -> None:
    _insert(store, "accounts", ACCOUNTS)
    _insert(store, "cards", CARDS)
    _insert(store, "transactions", transactions())
    _insert(store, "beneficiaries", BENEFICIARIES)
    _insert(store, "cases", CASES)
    _insert(store, "orders", ORDERS)
    _insert(store, "identity_checks", CHECKS)


def _insert(store: Store, table: str, rows: Iterable[Row]) -> None:
    """Insert all rows in one statement: a server far away is asked once."""
    given = [tuple(row) for row in rows]
    marks = ", ".join(f"({', '.join('?' * len(row))})" for row in given)
    store.change(f"INSERT INTO {table} VALUES {marks}", *(value for row in given for value in row))
