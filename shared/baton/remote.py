"""Sending requests over AMQP alone: what a program needs that reaches the broker and no journal.

In: text and facts. Out: a `RemoteRun` to wait for. Every message goes out under an idempotency key, so
it is sent again whenever it may be lost, or its answers may: that is the same run.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypedDict, Unpack
from weakref import WeakValueDictionary

from pydantic import ValidationError

from baton import codec, ids
from baton.broker.contract import Delivery
from baton.broker.rabbitmq.consumer import RabbitDelivery
from baton.broker.rabbitmq.requester import Asked, Requester
from baton.config import Settings
from baton.errors import BrokerUnavailableError, ConfigError, RequestError, ResultTimeoutError
from baton.request import (
    CancelMessage,
    CancelRequest,
    Question,
    Rejected,
    ReplyMessage,
    ReplyRequest,
    Request,
    Result,
    ResultMessage,
)
from baton.telemetry.current import callers_context

logger = logging.getLogger("baton")

PUBLISH_S = 10.0
"""For how long a publish without the broker's word is tried again, in seconds."""
TRY_S = 5.0
"""How long one try may take, in seconds."""
PAUSE_S = 0.1


class RequestFields(TypedDict, total=False):
    """What a request may say beside its text; see `Client.send`."""

    facts: Mapping[str, Any] | None
    to: str | None
    conversation_id: str | None
    deadline_s: float | None
    max_hops: int | None


class RemoteClient:
    """Sends requests, replies and cancels through the broker, and gets results from it.

    Args:
        settings: Name the broker.
    """

    def __init__(self, settings: Settings) -> None:
        self._requester = Requester(settings.broker_url, self._on_answer, self._on_queue)
        self._runs: WeakValueDictionary[str, RemoteRun] = WeakValueDictionary()
        self._asking: set[asyncio.Task[None]] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, settings: Settings) -> AsyncIterator["RemoteClient"]:
        """Connect to the broker that the settings name, and disconnect at the end.

        Raises:
            BrokerUnavailableError: It cannot be reached.
            ConfigError: It refuses this user or vhost, or has no exchange for requests.
        """
        client = cls(settings)
        await client._requester.start()
        try:
            yield client
        finally:
            await client._close()

    async def send(
        self,
        text: str,
        *,
        idempotency_key: str | None = None,
        traceparent: str | None = None,
        **fields: Unpack[RequestFields],
    ) -> "RemoteRun":
        """Publish a request and return its run, of which nothing is known before its first result.

        Args:
            text: What is wanted; 1 byte to 256 KiB.
            idempotency_key: Sending again under the same key is the same run; None: one of its own.
            traceparent: W3C trace context of the caller; None: OpenTelemetry's current span, if there is one.
            fields: See `Client.send`.

        Raises:
            RequestError: The request is not one that could be taken; says which field.
            BrokerUnavailableError: The broker gave no word; sending again under the same key is safe.
            ConfigError: No queue takes requests.
        """
        given: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
        if isinstance(given.get("facts"), Mapping):
            given["facts"] = dict(given["facts"])
        request = Request.of({"text": text, **given})
        key = codec.checked_key(idempotency_key, field="idempotency_key")
        run = RemoteRun(self._ask, conversation_id=request.conversation_id)
        context = traceparent or callers_context()
        headers = {} if context is None else {"traceparent": context}
        await self._ask(run, request.model_dump_json(exclude_defaults=True).encode(), key, headers)
        return run

    async def reply(
        self, run_id: str, text: str, *, wait_id: str | None = None, idempotency_key: str | None = None
    ) -> "RemoteRun":
        """Publish the answer to what a run waits for, and return the run.

        Args:
            run_id: The run.
            text: 1 byte to 256 KiB.
            wait_id: Which wait; None: the one it has open.
            idempotency_key: See `send`.

        Raises:
            RequestError: The text is not one that could be taken.
            BrokerUnavailableError: See `send`.
            ConfigError: No queue takes requests.
        """
        run = RemoteRun(self._ask, run_id=run_id)
        await run.reply(text, wait_id=wait_id, idempotency_key=idempotency_key)
        return run

    async def cancel(self, run_id: str, *, reason: str = "") -> "RemoteRun":
        """Publish the wish to end a run, and return it; its result tells how it ended.

        Raises:
            BrokerUnavailableError: See `send`.
            ConfigError: No queue takes requests.
        """
        run = RemoteRun(self._ask, run_id=run_id)
        await run.cancel(reason)
        return run

    async def _ask(
        self, run: "RemoteRun", body: bytes, key: str | None, headers: Mapping[str, str] | None = None
    ) -> None:
        run.asked = Asked(body, key or ids.new_id(), run.correlation_id, headers or {})
        self._runs[run.correlation_id] = run
        await self._publish(run)

    async def _publish(self, run: "RemoteRun") -> None:
        """Publish what the run's requester asked last, until the broker has it."""
        clock = asyncio.get_running_loop()
        until_s, pause_s = clock.time() + PUBLISH_S, PAUSE_S
        while not run.has_ended:
            try:
                await self._requester.ask(run.asked, timeout_s=TRY_S)
                return
            except BrokerUnavailableError as error:
                if clock.time() + pause_s > until_s:
                    told = f"{error}; sent again under the key {run.key!r}, it is the same request"
                    raise BrokerUnavailableError(told) from None
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))
            pause_s = min(1.0, pause_s * 2)

    def _on_queue(self) -> None:
        """Ask again for all that has not ended: what was sent to the last queue went with it."""
        for task in self._asking:
            task.cancel()
        if self._runs:
            task = asyncio.create_task(self._ask_again())
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _ask_again(self) -> None:
        for run in list(self._runs.values()):
            try:
                await self._publish(run)
            except (BrokerUnavailableError, ConfigError) as error:
                logger.warning("%s", error)

    def _on_answer(self, message: RabbitDelivery) -> None:
        message.ack()
        run = self._runs.get(message.correlation_id or "")
        if run is None:
            return
        try:
            run.take(answer_in(message))
        except ValidationError as error:
            logger.warning("an answer that cannot be read: %s", error)
        if run.has_ended:
            self._runs.pop(run.correlation_id, None)

    async def _close(self) -> None:
        asking = list(self._asking)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await self._requester.close()


class RemoteRun:
    """A run that was sent, as far as its requester knows it.

    Args:
        ask: Publishes a body for it, under a key or one of its own.
        run_id: If it is known.
        conversation_id: If it is known.
    """

    def __init__(
        self,
        ask: Callable[["RemoteRun", bytes, str | None], Awaitable[None]],
        *,
        run_id: str | None = None,
        conversation_id: str | None = None,
    ) -> None:
        self._ask = ask
        self.run_id = run_id
        """None until its first result or question came."""
        self.conversation_id = conversation_id
        self.correlation_id = ids.new_id()
        self.asked = Asked(b"", "", "")
        """What its requester published last."""
        self._latest: Result | RequestError | None = None
        self._answered: set[str] = set()
        self._told = asyncio.Event()

    @property
    def key(self) -> str:
        """The idempotency key of what was published last: under it, that can be sent again."""
        return self.asked.message_id

    @property
    def has_ended(self) -> bool:
        """True once its last result came, or it was never taken."""
        if isinstance(self._latest, RequestError):
            return self.run_id is None  # else a reply was rejected, and the run goes on
        return self._latest is not None and self._latest.has_ended

    async def result(self, *, timeout_s: float = 30.0, through_waits: bool = False) -> Result:
        """Return how it ended, or, unless told otherwise, what it wants to know of its user.

        Args:
            timeout_s: Seconds to wait, >= 0.
            through_waits: True: go on waiting while it waits for its user.

        Raises:
            RequestError: The request, the reply or the cancel was rejected; says which field, and why.
            ResultTimeoutError: Nothing came in time; the run goes on.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while self._latest is None or (through_waits and self._is_waiting):
                    self._told.clear()
                    await self._told.wait()
        except TimeoutError:
            raise ResultTimeoutError(self.run_id or f"under key {self.key!r}", timeout_s) from None
        if isinstance(self._latest, RequestError):
            raise self._latest
        assert self._latest is not None
        return self._latest

    async def reply(self, text: str, *, wait_id: str | None = None, idempotency_key: str | None = None) -> None:
        """Publish the answer to what it asked; its next `result` is what came of it.

        Args:
            text: 1 byte to 256 KiB.
            wait_id: Which wait; None: the one it asked last.
            idempotency_key: Sending again under the same key is the same reply; None: one of its own.

        Raises:
            RequestError: It has asked nothing yet, or the text is not one that could be taken.
            BrokerUnavailableError: The broker gave no word.
            ConfigError: No queue takes requests.
        """
        asked = self._latest.question if isinstance(self._latest, Result) else None
        wanted = wait_id or (asked.wait_id if asked is not None else None)
        run_id = self._known_id("a reply")
        reply = ReplyMessage(run_id=run_id, wait_id=wanted, text=codec.checked_text(text))
        body = ReplyRequest(reply=reply).model_dump_json(exclude_none=True).encode()
        key = codec.checked_key(idempotency_key, field="idempotency_key")
        if asked is not None:
            self._answered.add(asked.wait_id)
        self._latest = None
        await self._ask(self, body, key)

    async def cancel(self, reason: str = "") -> None:
        """Publish the wish to end it; its next `result` is how it ended.

        Raises:
            RequestError: Nothing came of it yet, so its id is not known; or the reason is too long.
            BrokerUnavailableError: The broker gave no word.
            ConfigError: No queue takes requests.
        """
        run_id = self._known_id("a cancel")
        try:
            wish = CancelRequest(cancel=CancelMessage(run_id=run_id, reason=reason))
        except ValidationError as error:
            raise RequestError(f"reason has {len(reason)} characters; at most 1000 are allowed") from error
        if not self.has_ended:
            self._latest = None
        await self._ask(self, wish.model_dump_json().encode(), None)

    def take(self, came: Result | RequestError) -> None:
        """Keep what came, unless it is out of date."""
        if self.has_ended:
            return
        if isinstance(came, Result):
            self.run_id, self.conversation_id = came.run_id, came.conversation_id
            if came.question is not None and came.question.wait_id in self._answered:
                return
        self._latest = came
        self._told.set()

    @property
    def _is_waiting(self) -> bool:
        return isinstance(self._latest, Result) and not self._latest.has_ended

    def _known_id(self, what: str) -> str:
        if self.run_id is None:
            told = f"{what} names its run, and its id comes with the first result or question: await that first"
            raise RequestError(told, code="not_known", field="run_id")
        return self.run_id


def answer_in(message: Delivery) -> Result | RequestError:
    """Return the result, the question or the rejection that a message says.

    Raises:
        ValidationError: It says none of them.
    """
    if b'"rejected"' in message.body:
        with contextlib.suppress(ValidationError):
            error = Rejected.model_validate_json(message.body).error
            return RequestError(error.message, code=error.code, field=error.field)
    told = ResultMessage.model_validate_json(message.body)
    asked = None
    if told.question is not None and told.wait_id is not None:
        asked = Question(wait_id=told.wait_id, kind="user", question=told.question, options=told.options)
    given = {name: value for name, value in told if name in Result.model_fields and name != "question"}
    return Result.model_validate({**given, "question": asked})
