"""A connection that is made again whenever it is lost, and channels that are.

In: a URL. Out: open connections with their wire, for `channel` to open channels on; what is wrong
while there is none.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiormq
import aiormq.abc
from yarl import URL

from baton.broker.rabbitmq.wire import Port, Wire, WireFactory
from baton.errors import BrokerUnavailableError, ConfigError

logger = logging.getLogger("baton")

T = TypeVar("T")

PAUSE_S, MAX_PAUSE_S = 0.2, 5.0
"""Bounds of the pause before the next try, in seconds."""
CLOSE_TIMEOUT_S = 3.0
HOPE_S = 1.0
"""How long after a loss a publish waits for the next connection, in seconds."""
MISSED_HEARTBEATS = 2
"""Heartbeats without a byte after which the connection counts as dead."""
REFUSED = {403, 530}
"""Reply codes for credentials and vhosts that the broker does not take."""


def address(url: URL) -> str:
    """Return where a URL leads, without its credentials."""
    return str(url.with_user(None).with_query(None).with_fragment(None))


class Pauses:
    """How long to wait before each next try: longer each time, with jitter."""

    def __init__(self) -> None:
        self._tries = 0

    def reset(self) -> None:
        """Begin anew: it worked."""
        self._tries = 0

    async def wait(self) -> None:
        """Wait."""
        longest_s = min(MAX_PAUSE_S, PAUSE_S * 2**self._tries)
        self._tries = min(self._tries + 1, 10)
        await asyncio.sleep(random.uniform(PAUSE_S / 2, longest_s))


@contextlib.contextmanager
def own_cancellation() -> Iterator[None]:
    """Raise ConnectionError where aiormq raises a cancellation that nobody asked this task for.

    A connection that is lost rejects what waits on it so, and a task that believed it would end.
    """
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionError("the connection was lost") from None


@dataclass(frozen=True, slots=True)
class Opened:
    """One connection, while it lasts."""

    connection: aiormq.abc.AbstractConnection
    wire: Wire
    _calls: set[asyncio.Task[Any]] = field(default_factory=set)

    async def call(self, work: Coroutine[Any, Any, T], *, timeout_s: float) -> T:
        """Return what a call to aiormq returns.

        It runs in a task that is never cancelled: aiormq answers a cancellation with a close of the
        channel, which ends the connection where the channel is closed already, or with another error.
        What comes too late goes on by itself.

        Args:
            work: The call.
            timeout_s: Seconds to wait for it.

        Raises:
            ConnectionError: The connection is gone.
            TimeoutError: There was no answer in time.
            aiormq.AMQPError: The broker refuses.
        """
        task = asyncio.create_task(work)
        self._calls.add(task)
        task.add_done_callback(self._called)
        either: set[asyncio.Future[Any]] = {task, self.wire.lost}
        await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if task.done() and not task.cancelled():
            return task.result()
        if task.done() or self.wire.lost.done():
            raise ConnectionError(self.wire.lost.result() if self.wire.lost.done() else "the connection was lost")
        raise TimeoutError

    async def channel(self, port: Port, *, has_confirms: bool = False) -> aiormq.abc.AbstractChannel:
        """Open a channel whose messages go to `port`; part of a `call`.

        Raises:
            ConnectionError: The connection is gone, or the port was given up.
            aiormq.AMQPError: The broker refuses.
        """
        channel = await self.connection.channel(publisher_confirms=has_confirms)
        try:
            self.wire.attach(port, channel.number)
        except ConnectionError:
            await channel.close()
            raise
        return channel

    async def close_channel(self, channel: aiormq.abc.AbstractChannel) -> None:
        """Close a channel, however it stands with it."""
        if not self.wire.lost.done():
            with contextlib.suppress(Exception):
                await self.call(channel.close(), timeout_s=CLOSE_TIMEOUT_S)

    async def close(self) -> None:
        """Say goodbye and close, within a few seconds."""
        self.wire.flush()
        with contextlib.suppress(Exception):
            goodbye = self.connection.close(aiormq.ConnectionClosed(0, "closed"))
            await self.call(goodbye, timeout_s=CLOSE_TIMEOUT_S)
        self.wire.abort("closed")
        if self._calls:
            await asyncio.wait(set(self._calls), timeout=CLOSE_TIMEOUT_S)

    def _called(self, task: asyncio.Task[Any]) -> None:
        self._calls.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved: nobody may be waiting any more


class Link:
    """Keeps one connection to the broker.

    Args:
        url: With credentials and vhost.
        name: The connection's name, as the broker shows it.
        heartbeat_s: Seconds between heartbeats; a dead connection is noticed within three of them.
        connect_timeout_s: Seconds that one try may take.
    """

    def __init__(self, url: URL, name: str, *, heartbeat_s: float, connect_timeout_s: float) -> None:
        self._url = url.update_query(heartbeat=max(1, round(heartbeat_s)), name=name)
        self._name = name
        self._heartbeat_s = heartbeat_s
        self._connect_timeout_s = connect_timeout_s
        self._opened: Opened | None = None
        self._is_up = asyncio.Event()
        self._refusal: asyncio.Future[None] | None = None
        self._why = "not started"
        self._task: asyncio.Task[None] | None = None
        self._lost_at: float | None = None

    @property
    def opened(self) -> Opened | None:
        """The connection that is open now."""
        opened = self._opened
        return None if opened is None or opened.wire.lost.done() else opened

    def trouble(self) -> str | None:
        """Return why there is no connection; None: there is one."""
        return None if self.opened is not None else f"not connected to {address(self._url)}: {self._why}"

    async def start(self) -> None:
        """Begin to connect and wait for the first connection.

        Raises:
            BrokerUnavailableError: There is none after `connect_timeout_s`; it is tried again until `close`.
            ConfigError: The broker refuses user or vhost.
        """
        if self._task is None:
            self._refusal = asyncio.get_running_loop().create_future()
            self._why = "no answer yet"
            self._task = asyncio.create_task(self._keep())
        assert self._refusal is not None
        up = asyncio.create_task(self.up())
        waited: set[asyncio.Future[Any]] = {up, self._refusal}
        try:
            await asyncio.wait(waited, timeout=self._connect_timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            up.cancel()
        if self._refusal.done():
            self._refusal.result()
        if self.opened is None:
            raise BrokerUnavailableError(self.trouble() or "the connection was lost at once")

    async def up(self) -> Opened:
        """Return the open connection; wait while there is none."""
        while (opened := self.opened) is None:
            self._is_up.clear()
            await self._is_up.wait()
        return opened

    async def up_soon(self) -> Opened:
        """Return the open connection; wait only if there was one a moment ago.

        Raises:
            BrokerUnavailableError: There is none.
        """
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at((self._lost_at or now - HOPE_S) + HOPE_S):
                return await self.up()
        except TimeoutError:
            raise BrokerUnavailableError(self.trouble() or "the connection was just lost") from None

    async def close(self) -> None:
        """Disconnect and stay so; harmless when repeated."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        opened, self._opened = self._opened, None
        self._is_up.clear()
        self._why, self._lost_at = "closed", None
        if opened is not None:
            await opened.close()

    async def _keep(self) -> None:
        pauses, is_told = Pauses(), False
        while self._task is asyncio.current_task():
            try:
                opened = await self._open()
            except Exception as error:
                self._failed(error)
                if not is_told:
                    logger.warning("%s: %s; trying again until it answers", self._name, self.trouble())
                is_told = True
                await pauses.wait()
                continue
            if is_told:
                logger.info("%s: connected to %s", self._name, address(self._url))
            self._opened = opened
            self._is_up.set()
            self._why = await self._watch(opened.wire)
            self._is_up.clear()
            self._lost_at = asyncio.get_running_loop().time()
            logger.warning("%s: %s; connecting again", self._name, self.trouble())
            is_told = True
            pauses.reset()
            await asyncio.gather(opened.close(), pauses.wait())

    async def _open(self) -> Opened:
        factory = WireFactory()
        try:
            with own_cancellation():
                async with asyncio.timeout(self._connect_timeout_s):
                    connection = await aiormq.connect(self._url, transport_factory=factory)
        except BaseException as error:
            if (wire := factory.wire) is None:
                raise
            wire.abort(str(error))
            if isinstance(error, Exception) and wire.close_reason is not None:
                code, text = wire.close_reason
                raise _refusal(code, text) from error
            raise
        assert factory.wire is not None
        factory.wire.frame_max_bytes = connection.connection_tune.frame_max
        return Opened(connection, factory.wire)

    def _failed(self, error: Exception) -> None:
        self._why = str(error) or ("no answer" if isinstance(error, TimeoutError) else type(error).__name__)
        if isinstance(error, ConfigError) and self._refusal is not None and not self._refusal.done():
            self._refusal.set_exception(ConfigError(f"{address(self._url)}: {error}"))
            self._refusal.exception()  # retrieved: nobody may be waiting any more

    async def _watch(self, wire: Wire) -> str:
        """Wait until the connection is lost and return why; drop one on which nothing comes any more."""
        clock = asyncio.get_running_loop()
        patience_s = MISSED_HEARTBEATS * self._heartbeat_s
        while not wire.lost.done():
            await asyncio.wait({wire.lost}, timeout=self._heartbeat_s / 4)
            silence_s = clock.time() - wire.received_at
            if silence_s > patience_s:
                wire.abort(f"nothing came from the broker for {silence_s:.0f} s")
        return wire.lost.result()


def _refusal(code: int, text: str) -> Exception:
    """Return the error for a broker that closes a connection while it is made."""
    if code in REFUSED and "limit" not in text:
        return ConfigError(f"the broker refuses this user or vhost: {text}")
    return BrokerUnavailableError(text)
