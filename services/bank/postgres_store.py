"""The bank in a schema of PostgreSQL, for a desk whose agents are services of their own.

In: `postgresql://…`. Out: a `Store`. Threads share one connection behind a lock. A lost connection is opened
again and the transaction run again: its effects are unique on their key, so also a COMMIT whose reply was
lost takes effect once. Processes that change the same customer's records wait for each other on that row.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import DictRow, dict_row

from baton.config import masked
from services.bank import schema
from services.bank.errors import BankUnavailableError, BankUrlError
from services.bank.store import FIRST_NUMBER, PATIENCE_S, Result, Store

DEFAULT_SCHEMA = "bank"

_SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_REFUSALS = ("authentication failed", "does not exist", "pg_hba.conf", "could not translate", "failed to resolve")
"""What PostgreSQL and its client say of a URL that waiting does not make right."""
_CONNECT_TIMEOUT_S = 5
_DEAD_AFTER_S = 10
"""How long a connection may leave bytes unacknowledged before it counts as lost."""
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0

# A process that stops in the middle of a transaction holds up the customer's other effects no longer than this.
_SESSION = f"-c lock_timeout={PATIENCE_S:g}s -c idle_in_transaction_session_timeout={PATIENCE_S:g}s"


class PostgresStore(Store):
    """A `Store` in one schema."""

    def __init__(self, url: str, *, fill: Callable[[Store], None]) -> None:
        """Connect, creating the schema's tables and calling `fill` where it is new.

        Args:
            url: As libpq reads it, and `search_path=NAME`: the schema, `bank` if not said.
            fill: Inserts the first rows, inside the transaction that creates the tables, so that
                several processes that open a new schema at once fill it once.

        Raises:
            BankUrlError: The URL is wrong, the server does not answer within `PATIENCE_S`, or the
                schema's tables are of somebody else or of a newer desk.
        """
        self._schema, self._conninfo = _parsed(url)
        self._lock = threading.RLock()
        self._is_inside = False
        self._is_opened = False
        self._closing = threading.Event()
        self._db: psycopg.Connection[DictRow] | None = None
        try:
            self._prepare(fill)
        except (psycopg.Error, BankUnavailableError) as error:
            self._disconnect()
            raise BankUrlError(f"the bank {masked(url)!r} cannot be opened: {error}") from error
        except BankUrlError:
            self._disconnect()
            raise
        self._is_opened = True

    def close(self) -> None:
        """Close the connection; the store is unusable afterwards."""
        self._closing.set()
        with self._lock:
            self._disconnect()

    def rows(self, sql: str, args: Sequence[object]) -> list[dict[str, Any]]:
        """Return the rows of `sql`, by column name."""
        return self._persist(lambda: self._execute(sql, args).fetchall())

    def change(self, sql: str, *args: object) -> int:
        """Run one changing statement and return the number of rows it hit; only inside `transact`."""
        return self._execute(sql, args).rowcount

    def next_number(self) -> int:
        """Return a number that no effect before has had; only inside `apply`."""
        return FIRST_NUMBER - 1 + self.count("SELECT nextval('numbers')")

    def transact(self, work: Callable[[], Result], *, customers: Sequence[str]) -> Result:
        """Run `work` as one transaction, again where the connection was lost or another one was in the way.

        Raises:
            BankUnavailableError: No transaction went through within `PATIENCE_S`.
        """

        def locked() -> Result:
            with self._connection().transaction(), self._inside():
                # In one order, so that two of them never wait for each other.
                self._execute("SELECT id FROM customers WHERE id = ANY(?) ORDER BY id FOR UPDATE", [list(customers)])
                return work()

        return self._persist(locked)

    def _persist(self, work: Callable[[], Result]) -> Result:
        """Return what `work` returns, calling it again after errors that pass; in a transaction, call it once."""
        deadline = time.monotonic() + PATIENCE_S
        if not self._lock.acquire(timeout=PATIENCE_S):
            raise BankUnavailableError("other calls of this process were waiting for it")
        try:
            pause_s = _FIRST_PAUSE_S
            while True:
                try:
                    return work()
                except psycopg.Error as error:
                    if self._is_inside or not self._may_pass(error):
                        raise
                    if time.monotonic() + pause_s > deadline or self._closing.wait(pause_s):
                        raise BankUnavailableError(str(error)) from error
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        finally:
            self._lock.release()

    def _may_pass(self, error: psycopg.Error) -> bool:
        if not self._is_opened and any(refusal in str(error) for refusal in _REFUSALS):
            return False
        # Two customers' effects under one key: the second finds the first one's row when it is run again.
        is_key_race = isinstance(error, psycopg.errors.UniqueViolation) and error.diag.table_name == "ledger"
        is_lost = self._db is None or self._db.closed
        return is_key_race or is_lost or isinstance(error, psycopg.OperationalError)

    def _execute(self, sql: str, args: Sequence[object]) -> psycopg.Cursor[DictRow]:
        return self._connection().execute(sql.replace("?", "%s").encode(), args)

    def _connection(self) -> psycopg.Connection[DictRow]:
        if self._db is None or (self._db.closed and not self._is_inside):
            if self._closing.is_set():
                raise BankUnavailableError("it was closed by this process")
            self._db = psycopg.connect(self._conninfo, autocommit=True, row_factory=dict_row)
        return self._db

    def _disconnect(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    @contextmanager
    def _inside(self) -> Iterator[None]:
        """Mark that a transaction is open: a statement that fails is not tried again by itself."""
        self._is_inside = True
        try:
            yield
        finally:
            self._is_inside = False

    def _prepare(self, fill: Callable[[Store], None]) -> None:
        if self._is_there():
            return

        def create_once() -> None:
            with self._connection().transaction(), self._inside():
                self._execute("SELECT pg_advisory_xact_lock(?)", [schema.APPLICATION_ID])
                if not self._is_there():
                    self._create(fill)

        self._persist(create_once)

    def _is_there(self) -> bool:
        """Return whether the schema holds a bank.

        Raises:
            BankUrlError: It holds the bank of a newer desk.
        """
        # Not `to_regclass`: it answers from this session's cache, which waiting for a lock does not refresh.
        sql = "SELECT count(*) FROM pg_tables WHERE schemaname = ? AND tablename = 'bank_version'"
        if self.count(sql, self._schema) == 0:
            return False
        version = self.count("SELECT version FROM bank_version")
        if version > schema.VERSION:
            raise BankUrlError(
                f"the schema {self._schema!r} is no bank of this desk (version {version}; "
                f"expected at most {schema.VERSION}); name another one"
            )
        return True

    def _create(self, fill: Callable[[Store], None]) -> None:
        # Asked first: CREATE SCHEMA IF NOT EXISTS needs rights that whoever was given a schema may not have.
        if not self.count("SELECT count(*) FROM pg_namespace WHERE nspname = ?", self._schema):
            self.change(f"CREATE SCHEMA {self._schema}")
        for statement in schema.statements(schema.POSTGRES_TABLES):
            self.change(statement)
        self.change("INSERT INTO bank_version VALUES (?)", schema.VERSION)
        fill(self)


def _parsed(url: str) -> tuple[str, str]:
    """Return the schema and libpq's connection string.

    Raises:
        BankUrlError: The URL cannot be read, or names no schema that can be one.
    """
    address, _, query = url.partition("?")
    names = [part.removeprefix("search_path=") for part in query.split("&") if part.startswith("search_path=")]
    others = [part for part in query.split("&") if part and not part.startswith("search_path=")]
    name = names[-1] if names else DEFAULT_SCHEMA
    if _SCHEMA_NAME.fullmatch(name) is None:
        raise BankUrlError(f"DESK_BANK_URL has search_path={name!r}; allowed is one schema, [a-z_][a-z0-9_]*")
    try:
        given = conninfo_to_dict(f"{address}?{'&'.join(others)}")
    except psycopg.ProgrammingError as error:
        raise BankUrlError(f"DESK_BANK_URL is {masked(url)!r}: {error}") from error
    options = str(given.get("options", ""))
    if "search_path" in options:
        raise BankUrlError(f"DESK_BANK_URL has options={options!r}; say search_path=NAME instead")
    defaults: dict[str, Any] = {
        "connect_timeout": _CONNECT_TIMEOUT_S,
        "tcp_user_timeout": _DEAD_AFTER_S * 1000,
        "keepalives_idle": _DEAD_AFTER_S,
        "application_name": "baton-bank",
    }
    given["options"] = f"{options} {_SESSION} -c search_path={name}".strip()
    return name, make_conninfo("", **{**defaults, **given})
