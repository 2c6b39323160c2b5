"""What a new bank starts with: customers, their records, fees, limits, rates and cash machines.

In: a connection inside the transaction that creates the tables. Out: rows; the same in every bank.
"""

import sqlite3
from collections.abc import Iterable, Sequence

from services.bank import schema
from services.bank.seed_customers import ACCOUNTS, BENEFICIARIES, CARDS, CASES, CHECKS, CUSTOMERS, ORDERS
from services.bank.seed_tariffs import MACHINES, RATES, TARIFFS
from services.bank.seed_transactions import transactions

Row = Sequence[object]


def fill(db: sqlite3.Connection) -> None:
    """Insert everything a new bank starts with."""
    _insert(db, "tariffs", TARIFFS)
    _insert(db, "rates", RATES)
    _insert(db, "machines", MACHINES)
    _insert(db, "customers", CUSTOMERS)
    _insert_records(db)


def restore(db: sqlite3.Connection) -> None:
    """Put the records of the seeded customers back; nothing else is touched, not the ledger either."""
    ids = [row[0] for row in CUSTOMERS]
    marks = ", ".join("?" * len(ids))
    for table in schema.CUSTOMER_TABLES:
        db.execute(f"DELETE FROM {table} WHERE customer IN ({marks})", ids)
    db.execute(f"UPDATE customers SET app = 'open' WHERE id IN ({marks})", ids)
    _insert_records(db)


def _insert_records(db: sqlite3.Connection) -> None:
    _insert(db, "accounts", ACCOUNTS)
    _insert(db, "cards", CARDS)
    _insert(db, "transactions", transactions())
    _insert(db, "beneficiaries", BENEFICIARIES)
    _insert(db, "cases", CASES)
    _insert(db, "orders", ORDERS)
    _insert(db, "identity_checks", CHECKS)


def _insert(db: sqlite3.Connection, table: str, rows: Iterable[Row]) -> None:
    for row in rows:
        marks = ", ".join("?" * len(row))
        db.execute(f"INSERT INTO {table} VALUES ({marks})", tuple(row))
