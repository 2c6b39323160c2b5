"""A TCP proxy that harms single connections: leaves them half open, or loses the reply to what PostgreSQL committed.

In: connections, and what to do to them. Out: counts of what was done. Connections made later go through.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from tests.support.tcp_proxy import TcpProxy

WRITES = ("accept_runs", "claim_hops", "record_steps", "finish_hops", "COMMIT")
"""What the journal commits with: functions, each a transaction, and the end of a transaction of several statements."""
CHUNK_BYTES = 65_536
_PARSE = re.compile(rb"P....(__asyncpg_\w+)\0([^\0]*)\0", re.DOTALL)
_BIND = re.compile(rb"B....\0(__asyncpg_\w+)\0", re.DOTALL)
_COMMIT = re.compile(rb"Q....COMMIT", re.DOTALL)
_COMMITTED = b"Z\0\0\0\5I"
"""PostgreSQL is ready for the next query, and in no transaction."""


class Conversation:
    """What is known of one client's connection to PostgreSQL."""

    def __init__(self) -> None:
        self._statements: dict[bytes, str] = {}
        self._asked: str | None = None

    def hear(self, data: bytes) -> None:
        """Learn from what the client sends."""
        for name, sql in _PARSE.findall(data):
            self._statements[name] = sql.decode(errors="replace")
        if _COMMIT.match(data):
            self._asked = "COMMIT"
        elif bound := _BIND.findall(data):
            sql = self._statements.get(bound[-1], "")
            self._asked = next((write for write in WRITES if f"{write}(" in sql), None)

    def committed(self, data: bytes) -> str | None:
        """Return what was committed if the server says so here."""
        if not data.endswith(_COMMITTED):
            return None
        asked, self._asked = self._asked, None
        return asked


class HarmfulProxy(TcpProxy):
    """Forwards to one address, and harms what it is told to."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self.lost: Counter[str] = Counter()
        """Commits whose reply was lost, by what committed."""
        self._committed: Counter[str] = Counter()
        self._loses_each: int | None = None
        self._is_stranded = asyncio.Event()

    def strand(self) -> int:
        """Forward nothing more for who is connected now, and do not tell; return how many that are."""
        self._is_stranded.set()
        self._is_stranded = asyncio.Event()
        return self.open_count

    def lose_replies(self, each: int | None) -> None:
        """Reset a connection instead of forwarding the reply to each so-manieth commit of a kind; None: no more."""
        self._loses_each = each

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends, told, is_stranded = [writer], Conversation(), self._is_stranded
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            ends.append(far_writer)
            pumps = (self._ask(reader, far_writer, told), self._answer(far_reader, writer, told))
            both = [asyncio.create_task(pump) for pump in pumps]
            stranding = asyncio.create_task(is_stranded.wait())
            try:
                await asyncio.wait([*both, stranding], return_when=asyncio.FIRST_COMPLETED)
                if stranding.done():
                    for pump in both:
                        pump.cancel()
                    await asyncio.Event().wait()
            finally:
                for task in (*both, stranding):
                    task.cancel()
                await asyncio.gather(*both, stranding, return_exceptions=True)
        finally:
            for end in ends:
                end.transport.abort()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, told: Conversation) -> None:
        while data := await reader.read(CHUNK_BYTES):
            told.hear(data)
            writer.write(data)
            await writer.drain()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, told: Conversation) -> None:
        while data := await reader.read(CHUNK_BYTES):
            if (write := told.committed(data)) is not None and self._is_to_be_lost(write):
                return
            writer.write(data)
            await writer.drain()

    def _is_to_be_lost(self, write: str) -> bool:
        self._committed[write] += 1
        if self._loses_each is None or self._committed[write] % self._loses_each:
            return False
        self.lost[write] += 1
        return True


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[HarmfulProxy, str]]:
    """Give a proxy before the server of `url`, and the URL that leads through it."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    proxy = HarmfulProxy(parts.hostname, parts.port)
    await proxy.listen()
    query = dict(parse_qsl(parts.query))
    if parts.scheme == "postgresql":
        query["sslmode"] = "disable"
    place = f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{proxy.port}"
    try:
        yield proxy, urlunsplit(parts._replace(netloc=place, query=urlencode(query)))
    finally:
        await proxy.refuse()
