"""The tables of the bank, in the SQL that SQLite and PostgreSQL share. The stores create them, `seed` fills them."""

from collections.abc import Iterator

APPLICATION_ID = 0x42544442
"""Marks a SQLite file as a bank of this desk (`BTDB`), so that no other file is written to."""

VERSION = 1
"""Version of the tables below; a bank with a higher one is refused."""

TABLES = """
CREATE TABLE customers (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, phone TEXT NOT NULL,
    address TEXT NOT NULL, city TEXT NOT NULL, country TEXT NOT NULL, born TEXT NOT NULL, app TEXT NOT NULL
);
CREATE TABLE accounts (
    id TEXT PRIMARY KEY, customer TEXT NOT NULL REFERENCES customers (id), currency TEXT NOT NULL,
    balance_minor BIGINT NOT NULL, status TEXT NOT NULL, iban TEXT NOT NULL,
    top_up_below_minor BIGINT NOT NULL, top_up_amount_minor BIGINT NOT NULL, UNIQUE (customer, currency)
);
CREATE TABLE cards (
    id TEXT PRIMARY KEY, customer TEXT NOT NULL REFERENCES customers (id), kind TEXT NOT NULL,
    network TEXT NOT NULL, last4 TEXT NOT NULL, status TEXT NOT NULL, expires TEXT NOT NULL,
    pin TEXT NOT NULL, contactless TEXT NOT NULL, reason TEXT NOT NULL
);
CREATE TABLE transactions (
    id TEXT PRIMARY KEY, customer TEXT NOT NULL REFERENCES customers (id), kind TEXT NOT NULL,
    status TEXT NOT NULL, amount_minor BIGINT NOT NULL, currency TEXT NOT NULL, fee_minor BIGINT NOT NULL,
    counterparty TEXT NOT NULL, booked_on TEXT NOT NULL, due_on TEXT NOT NULL, card_last4 TEXT NOT NULL,
    flag TEXT NOT NULL, reason TEXT NOT NULL, foreign_minor BIGINT NOT NULL,
    foreign_currency TEXT NOT NULL, rate_millionths BIGINT NOT NULL
);
CREATE INDEX transactions_of ON transactions (customer, kind, status);
CREATE TABLE beneficiaries (
    id TEXT PRIMARY KEY, customer TEXT NOT NULL REFERENCES customers (id), name TEXT NOT NULL,
    iban TEXT NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL
);
CREATE TABLE cases (
    id TEXT PRIMARY KEY, customer TEXT NOT NULL REFERENCES customers (id), kind TEXT NOT NULL,
    subject TEXT NOT NULL, status TEXT NOT NULL, opened_on TEXT NOT NULL
);
CREATE TABLE orders (
    id TEXT PRIMARY KEY, customer TEXT NOT NULL REFERENCES customers (id), kind TEXT NOT NULL,
    network TEXT NOT NULL, status TEXT NOT NULL, ordered_on TEXT NOT NULL, arrives_on TEXT NOT NULL
);
CREATE TABLE identity_checks (
    id TEXT PRIMARY KEY, customer TEXT NOT NULL REFERENCES customers (id), status TEXT NOT NULL,
    reason TEXT NOT NULL, started_on TEXT NOT NULL
);
CREATE TABLE tariffs (
    name TEXT PRIMARY KEY, amount_minor BIGINT NOT NULL, currency TEXT NOT NULL,
    basis_points BIGINT NOT NULL, terms TEXT NOT NULL
);
CREATE TABLE rates (
    base TEXT NOT NULL, quote TEXT NOT NULL, rate_millionths BIGINT NOT NULL, PRIMARY KEY (base, quote)
);
CREATE TABLE machines (
    id TEXT PRIMARY KEY, city TEXT NOT NULL, place TEXT NOT NULL, networks TEXT NOT NULL
);
CREATE TABLE ledger (
    key TEXT PRIMARY KEY, effect TEXT NOT NULL, customer TEXT NOT NULL, detail TEXT NOT NULL,
    amount_minor BIGINT NOT NULL, at TEXT NOT NULL, attempts BIGINT NOT NULL, receipt TEXT NOT NULL
);
"""
"""One statement per `;`. The ledger's primary key is what makes an effect happen once."""

CUSTOMER_TABLES = (
    "identity_checks",
    "orders",
    "cases",
    "beneficiaries",
    "transactions",
    "cards",
    "accounts",
)
"""Tables with a `customer` column, in an order in which rows may be deleted."""

# Ids sort by their bytes on every server, as they do in SQLite, whatever the database's locale.
POSTGRES_TABLES = f"""
{TABLES.replace(" TEXT", ' TEXT COLLATE "C"')}
ALTER TABLE ledger ADD COLUMN rowid BIGINT GENERATED ALWAYS AS IDENTITY;
CREATE SEQUENCE numbers;
CREATE TABLE bank_version (version BIGINT NOT NULL);
"""
"""The same for PostgreSQL, with what SQLite has by itself: the order of rows, and a place for the version."""


def statements(tables: str) -> Iterator[str]:
    """Yield the single statements of one of the texts above."""
    return (statement for statement in tables.split(";") if statement.strip())
