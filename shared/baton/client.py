"""Sending requests and getting results: from a program, in this process or another.

In: text and facts. Out: a `Run` to wait for. Works on the journal alone; with a broker beside it
(in the process that serves) runs start and end without waiting for a poll. `remote` works on a broker alone.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from baton import codec, ids
from baton.broker.contract import Broker, Hint
from baton.config import Settings
from baton.errors import ResultTimeoutError
from baton.hop.publishing import publish
from baton.journal.contract import Journal
from baton.journal.records import Accept, Cancel, PendingHop, Replied, Reply
from baton.request import ENDED, Request, Result
from baton.telemetry.current import callers_context
from baton.telemetry.telling import Style, Telemetry
from baton.urls import open_journal

if TYPE_CHECKING:
    from baton.journal.views import EventView
    from baton.remote import RemoteClient

LOOK_S = 0.1
"""How often a client without a broker looks into the journal, in seconds."""
LOOK_WITH_HINTS_S = 2.0
"""The same where hints tell it; they may be lost."""


class Client:
    """Sends requests, replies and cancels.

    Args:
        journal: A started journal.
        broker: The broker of this process; None: whoever serves the journal finds new runs there.
        settings: Tenant and limits.
        telemetry: Of this process, where it serves, too.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        broker: Broker | None = None,
        settings: Settings | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.journal = journal
        self._broker = broker
        self._settings = settings or Settings()
        self._telemetry = telemetry or Telemetry(style=Style.of(self._settings))
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._stop_listening: Callable[[], None] | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def from_env(cls, environ: Mapping[str, str] | None = None) -> "AsyncIterator[Self | RemoteClient]":
        """Open what the environment names, and close it at the end: a broker, or without one the journal.

        With `BATON_BROKER_URL=amqp://…` no journal is needed: the client is a `RemoteClient`, whose runs
        have their ids once their first result or question came.

        Raises:
            ConfigError: The settings are wrong; tells all of it.
            BrokerUnavailableError: The broker cannot be reached.
        """
        settings = Settings.from_env(os.environ if environ is None else environ)
        if not settings.is_embedded:
            from baton.remote import RemoteClient

            async with RemoteClient.opened(settings) as remote:
                yield remote
            return
        journal = open_journal(settings.journal_url)
        await journal.start(serves=False)
        try:
            yield cls(journal, settings=settings)
        finally:
            await journal.close()

    async def send(
        self,
        text: str,
        *,
        facts: Mapping[str, Any] | None = None,
        to: str | None = None,
        conversation_id: str | None = None,
        deadline_s: float | None = None,
        max_hops: int | None = None,
        idempotency_key: str | None = None,
        batch: str | None = None,
        traceparent: str | None = None,
    ) -> "Run":
        """Record a request and return its run; what is accepted is not lost any more.

        Args:
            text: What is wanted; 1 byte to 256 KiB.
            facts: JSON values that the agents should know; 64 KiB in all.
            to: An agent to send it to without classifying.
            conversation_id: The dialogue it belongs to. Where a run of it waits for its user,
                this text is the reply, and that run is returned.
            deadline_s: Seconds the run may take, > 0.
            max_hops: Most hops it may take; None: `BATON_MAX_HOPS`.
            idempotency_key: Sending again under the same key returns the same run.
            batch: Groups runs for `baton runs --batch`.
            traceparent: W3C trace context of the caller; None: OpenTelemetry's current span, if there is one.

        Raises:
            RequestError: The request is not taken; says which field, what was seen, what is allowed.
            JournalUnavailableError: Nothing was recorded.
        """
        given = {
            "conversation_id": conversation_id,
            "facts": dict(facts) if isinstance(facts, Mapping) else facts,
            "to": to,
            "deadline_s": deadline_s,
            "max_hops": max_hops,
        }
        fields = {name: value for name, value in given.items() if value is not None}
        request = Request.of({"text": text, **fields})
        self._listen()
        run_id = ids.new_run_id()
        opened = self._telemetry.opened(run_id, traceparent or callers_context(), None)
        accepted = await self.journal.accept(
            Accept(
                run_id=run_id,
                tenant=self._settings.tenant,
                request=request,
                key=codec.checked_key(idempotency_key, field="idempotency_key"),
                traceparent=opened.traceparent,
                tracestate=opened.tracestate,
                caller=opened.caller,
                batch=codec.checked_key(batch, field="batch"),
                max_hops=self._settings.max_hops,
                tenant_running=self._settings.tenant_running,
            )
        )
        await self._publish(accepted.publish)
        return Run(self, accepted.run_id, conversation_id=accepted.conversation_id, is_new=accepted.is_new)

    async def reply(
        self,
        run_id: str,
        text: str | None = None,
        *,
        decision: Literal["approve", "reject"] | None = None,
        handoff: str | None = None,
        reason: str = "",
        by: str = "user",
        wait_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Replied:
        """Answer what a run waits for; the first answer counts.

        Raises:
            NotFoundError: There is no such run or wait.
            NotWaitingError: It is answered or over already.
            RequestError: This kind of wait does not take such a reply.
        """
        reply = Reply(
            run_id,
            wait_id,
            text,
            decision,
            handoff,
            reason,
            by,
            key=codec.checked_key(idempotency_key, field="idempotency_key"),
            tenant=self._settings.tenant,
        )
        return await self._told(await self.journal.reply(reply))

    async def cancel(self, run_id: str, *, by: str = "user", reason: str = "") -> Replied:
        """End a run; one that an agent works on ends at its next write.

        Raises:
            NotFoundError: There is no such run.
        """
        wish = Cancel(run_id, by, reason, self._settings.tenant)
        return await self._told(await self.journal.cancel(wish))

    async def redrive(self, run_id: str, *, by: str = "user") -> "Run":
        """Start a new run where a failed or cancelled one ended, with all that it had recorded.

        Its last hop is tried again, with a new attempt budget, under the same idempotency keys. It
        queues behind the runs of its conversation, and whoever waits for results gets the new one.

        Raises:
            NotFoundError: There is no such run.
            RequestError: It has not ended, is completed, or was redriven before.
        """
        accepted = await self.journal.redrive(
            run_id, new_run_id=ids.new_run_id(), by=codec.checked_text(by, field="by")
        )
        await self._publish(accepted.publish)
        return Run(self, accepted.run_id, conversation_id=accepted.conversation_id)

    async def result(self, run_id: str, *, timeout_s: float = 30.0, through_waits: bool = False) -> Result:
        """Return the run's result once it has ended, or, unless told otherwise, waits for somebody.

        Args:
            run_id: The run.
            timeout_s: Seconds to wait, >= 0.
            through_waits: True: go on waiting while the run waits for its user or a person.

        Raises:
            ResultTimeoutError: It did not end in time; it goes on.
            NotFoundError: There is no such run.
        """

        def is_over(status: str) -> bool:
            return status in ENDED or (status == "waiting" and not through_waits)

        self._listen()
        told = asyncio.Event()
        waiting = self._waiting.setdefault(run_id, set())
        waiting.add(told)
        look_s = LOOK_WITH_HINTS_S if self._broker else LOOK_S
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    told.clear()
                    if is_over(await self.journal.status(run_id)):
                        result = await self.journal.result(run_id)
                        if is_over(result.status):
                            return result
                    # Not wait_for: until Python 3.12 it drops a cancellation that meets the hint.
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(look_s):
                            await told.wait()
        except TimeoutError as error:
            raise ResultTimeoutError(run_id, timeout_s) from error
        finally:
            waiting.discard(told)
            if not waiting:
                self._waiting.pop(run_id, None)

    async def events(self, run_id: str, *, after: int = 0) -> AsyncIterator["EventView"]:
        """Yield the run's events as they are written, until it has ended."""
        while True:
            has_ended = (await self.journal.run(run_id)).ended_at is not None
            for event in await self.journal.events(run_id, after=after):
                after = event.number
                yield event
            if has_ended:
                return
            await asyncio.sleep(LOOK_S)

    def close(self) -> None:
        """Stop listening for hints; the journal stays open."""
        if self._stop_listening is not None:
            self._stop_listening()

    def _listen(self) -> None:
        """Hear hints from the first run on: an agent's own process sends none, and may have no queue for them."""
        if self._broker is not None and self._stop_listening is None:
            self._stop_listening = self._broker.listen(self._on_hint)

    async def _told(self, replied: Replied) -> Replied:
        await self._publish(replied.publish)
        for run_id in replied.ended:
            if self._broker is not None:
                self._broker.hint(Hint(run_id, "ended"))
        return replied

    async def _publish(self, pending: tuple[PendingHop, ...]) -> None:
        for hop in pending if self._broker else ():
            assert self._broker is not None
            await publish(self._broker, hop, telemetry=self._telemetry)

    def _on_hint(self, hint: Hint) -> None:
        for told in self._waiting.get(hint.run_id, ()):
            told.set()


class Run:
    """A run that was sent."""

    def __init__(self, client: Client, run_id: str, *, conversation_id: str, is_new: bool = True) -> None:
        self._client = client
        self.run_id = run_id
        self.conversation_id = conversation_id
        self.is_new = is_new
        """False: its idempotency key was known, and this is the run of the first time."""

    async def result(self, *, timeout_s: float = 30.0, through_waits: bool = False) -> Result:
        """Return how it ended, or what it waits for. See `Client.result`.

        Raises:
            ResultTimeoutError: It did not end in time; it goes on.
        """
        return await self._client.result(self.run_id, timeout_s=timeout_s, through_waits=through_waits)

    async def reply(self, text: str | None = None, **answer: Any) -> Replied:
        """Answer what it waits for. See `Client.reply`."""
        return await self._client.reply(self.run_id, text, **answer)

    async def cancel(self, reason: str = "") -> Replied:
        """End it. See `Client.cancel`."""
        return await self._client.cancel(self.run_id, reason=reason)

    def events(self) -> AsyncIterator["EventView"]:
        """Yield its events until it has ended."""
        return self._client.events(self.run_id)
