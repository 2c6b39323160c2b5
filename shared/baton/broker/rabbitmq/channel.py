"""A channel that is opened again whenever it or its connection is lost.

In: a link, and how to set a channel up. Out: open channels, one after another; the error of the
first, for whoever asked for it.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import aiormq
import aiormq.abc

from baton.broker.rabbitmq.connection import Link, Opened, Pauses
from baton.broker.rabbitmq.wire import Loss, Port
from baton.errors import BatonError, BrokerUnavailableError, ConfigError, UnroutableError

logger = logging.getLogger("baton")

SET_UP_TIMEOUT_S = 10.0
"""How long opening a channel and what belongs to it may take, in seconds."""
STEADY_S = 10.0
"""How long a channel has to stay open, in seconds, for its next loss to be news."""
ACCESS_REFUSED = 403

P = TypeVar("P", bound=Port)


class KeptChannel(ABC, Generic[P]):
    """Keeps one channel open on a link. Subclasses say what for.

    Args:
        link: Where.
        what: What the channel is for, for a person.
        target: The agent or queue that is missing where the broker says so.
    """

    has_confirms = False
    """True where the broker confirms what is published on the channel."""
    is_optional = False
    """True where one does without if the broker refuses it, until the next connection."""
    reopens_at_once = False
    """True where a channel that was open is opened again without a pause."""

    def __init__(self, link: Link, *, what: str, target: str = "") -> None:
        self._link = link
        self._what = what
        self._target = target
        self._task: asyncio.Task[None] | None = None
        self._first: asyncio.Future[None] | None = None
        self._port: P | None = None
        self._is_open = asyncio.Event()
        self._channel: aiormq.abc.AbstractChannel | None = None
        self._told: str | None = None

    @abstractmethod
    def make_port(self) -> P:
        """Return the end of a channel that is about to be opened."""

    @abstractmethod
    async def set_up(self, channel: aiormq.abc.AbstractChannel) -> None:
        """Make a channel ready that was just opened."""

    @property
    def port(self) -> P | None:
        """The end of the channel that is open now."""
        port = self._port
        return None if port is None or port.lost.done() else port

    async def open_port(self) -> P:
        """Return the end of the open channel; wait while there is none.

        Raises:
            BrokerUnavailableError: It is not kept open any more.
        """
        while (port := self.port) is None:
            if self._task is None:
                raise BrokerUnavailableError("the broker is closed")
            self._is_open.clear()
            await self._is_open.wait()
        return port

    def start(self) -> None:
        """Begin to keep it open."""
        if self._task is None:
            self._first = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._keep(self._first))

    async def ready(self) -> None:
        """Start and wait until it is open for the first time; a failure stops it.

        Raises:
            UnroutableError: There is no such queue or exchange.
            BrokerUnavailableError: There is no connection, or it broke meanwhile.
            ConfigError: This user may not.
        """
        if self._link.opened is None:
            raise BrokerUnavailableError(self._link.trouble() or "the connection was just lost")
        self.start()
        assert self._first is not None
        try:
            async with asyncio.timeout(SET_UP_TIMEOUT_S):
                await asyncio.shield(self._first)
        except TimeoutError:
            await self.stop()
            raise BrokerUnavailableError(f"{self._what}: {self._link.trouble() or 'no answer'}") from None
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close the channel and stay so; what it was delivered and did not ack goes back."""
        channel = await self.let_go()
        if channel is not None and (opened := self._link.opened) is not None:
            await opened.close_channel(channel)

    async def let_go(self) -> aiormq.abc.AbstractChannel | None:
        """Keep it no longer, and return the channel that was open; its connection's end closes it, too."""
        task, self._task = self._task, None
        port, self._port = self._port, None
        channel, self._channel = self._channel, None
        self._is_open.set()
        if port is not None:
            port.wire.flush()
            port.wire.detach(port, Loss(None, "closed"))
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return channel

    async def _keep(self, first: asyncio.Future[None]) -> None:
        clock, pauses = asyncio.get_running_loop(), Pauses()
        while self._task is asyncio.current_task():
            opened = await self._link.up()
            was_open = False
            try:
                port = await self._open(opened)
            except Exception as error:
                problem = self._problem(error)
                if not first.done():
                    first.set_exception(problem)
                    first.exception()  # retrieved: nobody may be waiting
            else:
                was_open, since = True, clock.time()
                self._worked(first)
                problem = await self._lost(opened, port)
                if clock.time() - since > STEADY_S:
                    pauses.reset()
                    self._told = None
            if opened.wire.lost.done():
                continue
            self._tell(problem)
            if self.is_optional and isinstance(problem, ConfigError):
                await asyncio.shield(opened.wire.lost)
            elif not (was_open and self.reopens_at_once):
                await pauses.wait()

    async def _lost(self, opened: Opened, port: P) -> BatonError:
        """Wait until the channel is lost and return why."""
        loss = await asyncio.shield(port.lost)
        channel, self._port, self._channel = self._channel, None, None
        if channel is not None:
            await opened.close_channel(channel)
        if loss.code == ACCESS_REFUSED:
            return ConfigError(loss.text)
        return BrokerUnavailableError(loss.text)

    def _worked(self, first: asyncio.Future[None]) -> None:
        if not first.done():
            first.set_result(None)
        if self._told is not None:
            logger.info("%s works again", self._what)

    def _tell(self, problem: BatonError) -> None:
        """Log a problem, unless it is still the one that was logged last."""
        if (text := str(problem)) != self._told:
            self._told = text
            level = logging.INFO if self.is_optional else logging.WARNING
            logger.log(level, "%s does not work: %s; trying again until it does", self._what, text)

    async def _open(self, opened: Opened) -> P:
        port = self.make_port()
        try:
            channel = await opened.call(self._make(opened, port), timeout_s=SET_UP_TIMEOUT_S)
        except BaseException:
            opened.wire.detach(port, Loss(None, "given up"))
            raise
        self._port, self._channel = port, channel
        self._is_open.set()
        return port

    async def _make(self, opened: Opened, port: P) -> aiormq.abc.AbstractChannel:
        channel = await opened.channel(port, has_confirms=self.has_confirms)
        try:
            await self.set_up(channel)
        except BaseException:
            await channel.close()
            raise
        if port.lost.done():  # given up meanwhile, and so nobody else closes it
            await channel.close()
        return channel

    def _problem(self, error: Exception) -> BatonError:
        """Return ours for what a call to the broker raised."""
        if isinstance(error, BatonError):
            return error
        if isinstance(error, aiormq.ChannelNotFoundEntity):
            return UnroutableError(self._target)
        if isinstance(error, aiormq.ChannelAccessRefused) and "exclusive use" not in str(error):
            return ConfigError(str(error))
        return BrokerUnavailableError(self._link.trouble() or str(error) or type(error).__name__)
