"""Connections to the server: opened when wanted, replaced when they die, few and lent to one user at a time.

In: the journal's URL. Out: connections with the settings that the journal's statements count on.
"""

import asyncio
import contextlib
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

import asyncpg  # type: ignore[import-untyped]

from baton.config import masked
from baton.errors import ConfigError, JournalUnavailableError
from baton.journal.postgres import faults

SCHEMA = "baton"
"""Where the journal is, unless the URL says `?search_path=…`."""
PATIENCE_S = 5.0
"""How long operations wait for the server to come back, in seconds."""
COMMAND_S = 10.0
"""Longest that one statement may take, in seconds; a half-open connection is noticed so."""
LENT = 4
"""Most connections of a process beside those of its lanes."""
FAREWELL_S = 0.1
"""How long the server may take to be left, in seconds."""
_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0
_NAME = re.compile("[a-z_][a-z0-9_]{0,62}")


Seconds = float | None
"""Longest that a statement may take; None: `COMMAND_S`."""


class Connection(Protocol):
    """What the journal uses of a connection of the driver."""

    close: Callable[..., Awaitable[None]]
    """Takes leave of the server and closes it, in `timeout` seconds."""

    async def execute(self, sql: str, *values: object, timeout: Seconds = None) -> str:
        """Execute, and return the command's tag, such as `UPDATE 1`."""
        ...

    async def fetch(self, sql: str, *values: object, timeout: Seconds = None) -> list[Any]:
        """Return all rows."""
        ...

    async def fetchrow(self, sql: str, *values: object, timeout: Seconds = None) -> Any:
        """Return the first row, or None."""
        ...

    async def fetchval(self, sql: str, *values: object, timeout: Seconds = None) -> Any:
        """Return the first column of the first row, or None."""
        ...

    async def prepare(self, sql: str) -> Any:
        """Return the statement, parsed once."""
        ...

    def is_closed(self) -> bool:
        """Return True where it cannot be used any more."""
        ...

    def terminate(self) -> None:
        """Close it without a word."""
        ...


_SETTINGS = {
    "application_name": "baton",
    "jit": "off",
    # Every statement of the hot path finds its rows by an index. A plan made while the tables were small
    # must not read them whole when they have grown.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
    # A process that is stopped or cut off lets go of its locks.
    "idle_in_transaction_session_timeout": "10000",
    "client_connection_check_interval": "5000",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


def schema_of(url: str) -> str:
    """Return the schema that a URL names, or the usual one.

    Raises:
        ConfigError: It is no name that needs no quotes.
    """
    wanted = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True)).get("search_path", SCHEMA)
    if not _NAME.fullmatch(wanted):
        raise ConfigError(
            f"BATON_JOURNAL_URL names the schema {wanted!r} (search_path); allowed are lower-case letters, digits and _"
        )
    return wanted


def shown(url: str) -> str:
    """Return a URL as messages name it: no password, no options."""
    return masked(url).partition("?")[0]


class Connections:
    """Opens connections, and lends a few of them.

    Args:
        url: `postgresql://user:password@host:port/database[?search_path=schema]`.

    Raises:
        ConfigError: It cannot be used.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.schema = schema_of(url)
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._slots = asyncio.Semaphore(LENT)
        self._answered_at = 0.0
        self._is_closed = False
        try:
            _ = urlsplit(url).port  # the one part that is read strictly
        except ValueError as error:
            raise ConfigError(f"BATON_JOURNAL_URL {shown(url)!r} is no URL: {error}") from error

    def open_again(self) -> None:
        """Let connections be opened, after `close` too."""
        self._is_closed = False

    async def open(self, *, patience_s: float | None = None) -> Connection:
        """Open a connection of the caller's own; it is closed with the others.

        Args:
            patience_s: Seconds to go on trying, >= 0; 0 tries once; None: `PATIENCE_S`.

        Raises:
            JournalUnavailableError: The server did not take it in that time.
            ConfigError: The URL cannot be used.
        """
        clock = asyncio.get_running_loop()
        give_up_at, pause_s = clock.time() + (PATIENCE_S if patience_s is None else patience_s), _PAUSE_S
        while True:
            if self._is_closed:
                raise JournalUnavailableError("the journal is closed")
            try:
                return await self._connect()
            except Exception as error:
                if not faults.is_away(error):
                    raise
                if clock.time() + pause_s > give_up_at:
                    told = f"the journal at {shown(self.url)!r} cannot be reached: {str(error) or type(error).__name__}"
                    raise JournalUnavailableError(told) from error
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)

    async def _connect(self) -> Connection:
        settings = {**_SETTINGS, "search_path": self.schema}
        try:
            connection: Connection = await asyncpg.connect(
                self.url, timeout=PATIENCE_S, command_timeout=COMMAND_S, server_settings=settings
            )
        except asyncpg.exceptions.ClientConfigurationError as error:
            raise ConfigError(f"BATON_JOURNAL_URL {shown(self.url)!r} cannot be used: {error}") from error
        if self._is_closed:
            connection.terminate()
            raise JournalUnavailableError("the journal is closed")
        self._open.add(connection)
        return connection

    @contextlib.asynccontextmanager
    async def lent(self) -> AsyncIterator[Connection]:
        """Lend a connection for the block; one that dies in it, or is left in the middle, is not used again.

        Raises:
            JournalUnavailableError: None could be opened, or none came free while the server answered nobody.
        """
        await self._wait_for_slot()
        try:
            connection = self._fresh() or await self.open()
            try:
                yield connection
            except BaseException as error:
                if not isinstance(error, Exception) or faults.is_away(error):
                    self.drop(connection)
                raise
            finally:
                if connection in self._open:
                    self._idle.append(connection)
                    self._answered_at = asyncio.get_running_loop().time()
        finally:
            self._slots.release()

    async def _wait_for_slot(self) -> None:
        clock = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await self._slots.acquire()
                return
            except TimeoutError as error:
                if clock.time() - self._answered_at > PATIENCE_S:
                    told = f"the journal at {shown(self.url)!r} does not answer: {LENT} connections wait for it"
                    raise JournalUnavailableError(told) from error

    def keep(self, connection: Connection) -> None:
        """Have a connection that `open` gave lent to others."""
        self._idle.append(connection)

    def drop(self, connection: Connection) -> None:
        """Close a connection that is of no more use, without a word."""
        self._open.discard(connection)
        connection.terminate()

    async def close(self) -> None:
        """Close every connection, whatever it is doing; none is opened any more."""
        self._is_closed = True
        self._idle.clear()
        await asyncio.gather(*map(self._end, self._open))
        self._open.clear()
        await asyncio.sleep(0)  # lets the sockets go

    async def _end(self, connection: Connection) -> None:
        with contextlib.suppress(Exception):  # it is closed in any case
            await connection.close(timeout=FAREWELL_S)
        connection.terminate()

    def _fresh(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._open.discard(connection)
        return None
