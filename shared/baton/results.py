"""Results and questions to those who asked: from the journal to their queues, at least once.

In: what the journal has to send; a hint says that there is something, and a look now and then finds
what the hint missed. Out: messages on `reply_to`, each result always under the same `message_id`.
"""

import asyncio
import contextlib
import logging
import random

from baton.broker.contract import Answering, Edge
from baton.errors import BrokerError, JournalError, UnroutableError
from baton.journal.contract import Journal
from baton.journal.messages import DueResult
from baton.request import ResultMessage
from baton.telemetry.telling import OFF, Telemetry

logger = logging.getLogger("baton")

BATCH = 100
"""Results taken from the journal at a time."""


class ResultSender:
    """Sends what is due, in a router.

    Args:
        journal: Has the results.
        edge: Carries them.
        look_s: How often to look without a hint, in seconds.
        telemetry: Is told of what is sent.
        retry_s: After how many seconds a result is sent again whose sender died, or never learned what became of it.
    """

    def __init__(
        self, journal: Journal, edge: Edge, *, look_s: float, retry_s: float, telemetry: Telemetry = OFF
    ) -> None:
        self._journal = journal
        self._edge = edge
        self._look_s = look_s
        self._retry_s = retry_s
        self._telemetry = telemetry
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look now: a run ended, or an address was added."""
        self._wake.set()

    async def run(self) -> None:
        """Send for ever."""
        while True:
            self._wake.clear()
            try:
                while await self.send_due() == BATCH:
                    pass
            except JournalError as error:
                logger.warning("results wait for the journal: %s", error)
            except Exception:  # whatever it was, all other results depend on the next look
                logger.exception("results were not sent")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._look_s * random.uniform(0.8, 1.2)):
                    await self._wake.wait()

    async def send_due(self) -> int:
        """Send what is due, at most `BATCH` results; return how many were taken."""
        due = await self._journal.due_results(limit=BATCH, retry_s=self._retry_s)
        if due:
            outcomes = await asyncio.gather(*map(self._send, due))
            sent = [one.delivery_id for one, outcome in zip(due, outcomes, strict=True) if outcome == "sent"]
            lost = [one.delivery_id for one, outcome in zip(due, outcomes, strict=True) if outcome == "undeliverable"]
            await self._journal.sent(sent, undeliverable=lost)
        return len(due)

    async def _send(self, due: DueResult) -> str:
        body = ResultMessage.of(due.result).model_dump_json().encode()
        with self._telemetry.answering(due, len(body)) as sending:
            context = {"traceparent": sending.traceparent, "tracestate": due.tracestate}
            headers = {"baton-run": due.result.run_id, **{name: value for name, value in context.items() if value}}
            try:
                await self._edge.answer(Answering(due.reply_to, body, due.message_id, due.correlation_id, headers))
            except UnroutableError as error:
                sending.error = error.code
                logger.info("result of %s: there is no queue %r", due.result.run_id, due.reply_to)
                return "undeliverable"
            except BrokerError as error:
                sending.error = error.code
                logger.info("result of %s is sent again in %g s: %s", due.result.run_id, self._retry_s, error)
                return "unknown"
            return "sent"
