"""Requests from any program: from the queue `baton.requests` into the journal, each exactly once.

In: messages of programs that know nothing but AMQP and JSON. Out: runs, replies and cancels; a hop 0
that this router works on at once; a rejection and a row in quarantine for what cannot be taken.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypedDict, TypeVar

from baton import codec, failpoints, ids, request
from baton.broker.contract import Answering, Consumer, Edge, Incoming
from baton.config import Settings
from baton.errors import BatonError, BrokerError, JournalError, JournalUnavailableError, NotFoundError, RequestError
from baton.hop.leases import hand_back
from baton.hop.publishing import publish
from baton.hop.surroundings import Surroundings
from baton.hop.worker import Worker
from baton.journal.contract import Journal
from baton.journal.messages import Quarantined
from baton.journal.records import Accept, Accepted, Cancel, ClaimCommand, Replied, Reply
from baton.protocol.guards import ROUTER
from baton.request import CancelMessage, Rejected, Rejection, ReplyMessage
from baton.telemetry.telling import OFF, Telemetry

logger = logging.getLogger("baton")

T = TypeVar("T")

SOURCE = "baton.requests"
"""Where a raw request in quarantine came from."""
RESERVED_PREFIX = "baton."
"""No results go to queues whose name begins so: they would be taken for hops."""
_PROPERTIES = ("message_id", "reply_to", "correlation_id", "user_id")


@dataclass(frozen=True, slots=True)
class Raw:
    """A message of `baton.requests`, as it came."""

    body: bytes
    message_id: str | None = None
    """The idempotency key."""
    reply_to: str | None = None
    correlation_id: str | None = None
    user_id: str | None = None
    """The sender's user, checked by the broker."""
    headers: dict[str, str] = field(default_factory=dict)
    is_redelivered: bool = False

    @classmethod
    def of(cls, message: Incoming) -> Self:
        """Return a message as it was delivered."""
        return cls(
            message.body,
            message.message_id or None,
            message.reply_to or None,
            message.correlation_id or None,
            message.user_id,
            dict(message.headers),
            message.is_redelivered,
        )

    @classmethod
    def from_quarantine(cls, kept: Quarantined) -> Self:
        """Return a message as it came, once.

        Raises:
            RequestError: It was no request.
        """
        if kept.source != SOURCE:
            raise RequestError(f"a message of {kept.source!r} cannot be taken again; those of {SOURCE!r} can")
        kept_of: Callable[[str], Any] = kept.headers.get
        return cls(
            kept.body,
            kept_of("message_id"),
            kept_of("reply_to"),
            kept_of("correlation_id"),
            kept_of("user_id"),
            kept_of("headers") or {},
        )

    def kept(self, reason: str) -> Quarantined:
        """Return what the journal keeps of a message that nothing could be made of."""
        given = {name: getattr(self, name) for name in _PROPERTIES if getattr(self, name) is not None}
        return Quarantined(SOURCE, self.body, reason, {**given, "headers": self.headers})


class _Origin(TypedDict):
    key: str | None
    redelivery_key: str | None
    is_redelivered: bool
    reply_to: str | None
    correlation_id: str | None


def command(raw: Raw, settings: Settings, telemetry: Telemetry = OFF) -> Accept | Reply | Cancel:
    """Return what a message asks of the journal.

    Raises:
        RequestError: It cannot be taken; says which field, what was seen, what is allowed.
    """
    key = codec.checked_key(raw.message_id, field="message_id")
    for name in ("reply_to", "correlation_id"):
        codec.checked_key(getattr(raw, name), field=name)
    if (raw.reply_to or "").startswith(RESERVED_PREFIX):
        told = f"reply_to is {raw.reply_to!r}; names that begin with {RESERVED_PREFIX!r} are Baton's own"
        raise RequestError(told, code="bad_field", field="reply_to")
    wanted = request.read(raw.body)
    said = [raw.body.hex(), raw.reply_to, raw.correlation_id]
    origin: _Origin = {
        "key": key,
        "redelivery_key": codec.fingerprint(said) if key is None else None,
        "is_redelivered": raw.is_redelivered,
        "reply_to": raw.reply_to,
        "correlation_id": raw.correlation_id,
    }
    tenant = raw.user_id or settings.tenant
    if isinstance(wanted, ReplyMessage):
        return Reply(wanted.run_id, wanted.wait_id, wanted.text, by="user", is_requesters=True, tenant=tenant, **origin)
    if isinstance(wanted, CancelMessage):
        return Cancel(wanted.run_id, "user", wanted.reason, tenant, **origin)
    run_id = ids.new_run_id()
    opened = telemetry.opened(run_id, raw.headers.get("traceparent"), raw.headers.get("tracestate"))
    return Accept(
        run_id=run_id,
        tenant=tenant,
        request=wanted,
        traceparent=opened.traceparent,
        tracestate=opened.tracestate,
        caller=opened.caller,
        max_hops=settings.max_hops,
        tenant_running=settings.tenant_running,
        **origin,
    )


async def carry_out(journal: Journal, wanted: Accept | Reply | Cancel) -> Accepted | Replied:
    """Record what a message asks for.

    Raises:
        RequestError: It is refused.
        NotFoundError: There is no such run or wait.
        JournalUnavailableError: Nothing was written.
    """
    if isinstance(wanted, Accept):
        return await journal.accept(wanted)
    return await (journal.reply(wanted) if isinstance(wanted, Reply) else journal.cancel(wanted))


class Ingress:
    """Takes messages of `baton.requests`, in a router.

    Args:
        worker: The router's; works on the hops that begin here.
        shared: What the process's workers share.
        edge: Where messages come from and rejections go.
        on_late_address: Called when a result may be due at once.
    """

    def __init__(
        self, worker: Worker, shared: Surroundings, edge: Edge, *, on_late_address: Callable[[], None]
    ) -> None:
        self._worker = worker
        self._shared = shared
        self._edge = edge
        self._on_late_address = on_late_address

    async def consume(self, *, prefetch: int) -> Consumer:
        """Begin to take messages.

        Raises:
            BrokerError: There is no queue, or no connection.
        """
        return await self._edge.consume_requests(self._on_request, prefetch=prefetch)

    def _on_request(self, message: Incoming) -> None:
        failpoints.hit("hop.delivered")
        self._shared.telemetry.delivered(SOURCE, message)
        self._worker.offer(lambda: self._take(message))

    async def _take(self, message: Incoming) -> None:
        """Record a message and work on it; it is acked once the journal has it, or has it in quarantine."""
        raw, asked_at = Raw.of(message), time.monotonic()
        try:
            done = await self._record(command(raw, self._shared.settings, self._shared.telemetry))
        except (RequestError, NotFoundError) as error:
            await self._reject(raw, error)
            message.ack()
            return
        except JournalError:
            raise  # it says nothing about the message, which comes again
        except Exception as error:  # whatever it was, one message must not hold up the others, nor be lost
            logger.exception("a message of %s cannot be taken", SOURCE)
            await self._reject(raw, BatonError(f"it cannot be taken: {type(error).__name__}"))
            message.ack()
            return
        message.ack()
        failpoints.hit("hop.acked")
        for hop in done.publish:
            await publish(self._shared.broker, hop, telemetry=self._shared.telemetry)
        self._on_late_address()
        if isinstance(done, Accepted) and done.claim is not None:
            await self._worker.work_on(done.claim, asked_at=asked_at, source=SOURCE)

    async def _record(self, wanted: Accept | Reply | Cancel) -> Accepted | Replied:
        """Carry out what a message asks for; a request's hop 0 is claimed with it."""
        shared = self._shared
        if not isinstance(wanted, Accept):
            return await _insist(lambda: carry_out(shared.journal, wanted))
        claim = ClaimCommand(
            wanted.run_id, 0, ROUTER, ids.new_id(), shared.owner, shared.settings.lease_s, self._worker.max_attempts
        )
        accept = replace(wanted, claim=claim)
        try:
            return await _insist(lambda: shared.journal.accept(accept))
        except asyncio.CancelledError:
            accepted = await shared.journal.accept(accept)
            await hand_back(shared.journal, accepted.claim)
            raise

    async def _reject(self, raw: Raw, error: BatonError) -> None:
        """Keep a message that is not taken, and tell its sender why."""
        logger.info("rejected a message of %s: %s", raw.user_id or "somebody", error)
        await _insist(lambda: self._shared.journal.quarantine(raw.kept(str(error))))
        if raw.reply_to is None or raw.reply_to.startswith(RESERVED_PREFIX):
            return
        rejection = Rejection(code=error.code, message=str(error), field=getattr(error, "field", None))
        body = Rejected(error=rejection).model_dump_json().encode()
        message_id = ids.rejection_id(raw.body, raw.message_id)
        try:
            await self._edge.answer(Answering(raw.reply_to, body, message_id, raw.correlation_id))
        except BrokerError as problem:
            logger.info("a rejection found nobody: %s", problem)


async def _insist(write: Callable[[], Awaitable[T]]) -> T:
    """Return what `write` gives; while the journal cannot, try again: only the broker has the message yet."""
    pause_s = 0.1
    while True:
        try:
            return await write()
        except JournalUnavailableError as error:
            logger.warning("requests wait for the journal: %s", error)
        await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))
        pause_s = min(5.0, pause_s * 2)


def dead_of(message: Incoming) -> Quarantined:
    """Return what the journal keeps of a message that the broker gave up on."""
    headers: dict[str, Any] = dict(message.headers)
    source = str(headers.get("x-first-death-queue") or SOURCE)
    why = headers.get("x-first-death-reason") or "unknown reason"
    return replace(Raw.of(message).kept(f"the broker gave it up: {why}"), source=source)


class DeadReader:
    """Puts what the broker gave up on into quarantine.

    Args:
        journal: Where it is kept.
        edge: Where it comes from.
    """

    def __init__(self, journal: Journal, edge: Edge) -> None:
        self._journal = journal
        self._edge = edge
        self._tasks: set[asyncio.Task[None]] = set()

    async def consume(self) -> Consumer:
        """Begin to take messages of `baton.dead`.

        Raises:
            BrokerError: There is no queue, or no connection.
        """
        return await self._edge.consume_dead(self._on_dead, prefetch=10)

    def _on_dead(self, message: Incoming) -> None:
        task = asyncio.create_task(self._keep(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep(self, message: Incoming) -> None:
        logger.warning("in quarantine: a message that the broker gave up on")
        await _insist(lambda: self._journal.quarantine(dead_of(message)))
        message.ack()

    async def stop(self) -> None:
        """Leave what is not written yet to the queue."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
