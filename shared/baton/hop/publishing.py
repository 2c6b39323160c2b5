"""Publishing a hop: the wake-up for its agent, with the context where it is small enough.

In: a hop that became pending. Out: a message on its agent's queue, or nothing, which harms nothing.
"""

import logging

from baton import envelope
from baton.broker.contract import Broker, Outgoing
from baton.errors import BrokerError
from baton.journal.records import PendingHop
from baton.telemetry.hops import HopWatch
from baton.telemetry.telling import OFF, Telemetry

logger = logging.getLogger("baton")


async def publish(
    broker: Broker,
    hop: PendingHop,
    body: bytes | None = None,
    *,
    telemetry: Telemetry = OFF,
    watch: HopWatch | None = None,
) -> None:
    """Publish a hop that became pending. A failure is none: the hop stays pending, the poll finds it.

    Args:
        broker: Where to.
        hop: Which.
        body: Its envelope; None: only a reference, so that the receiver reads the journal.
        telemetry: Is told of it.
        watch: Of the hop that it follows from; None: it follows from none of this process.
    """
    body = body or envelope.reference(hop.run_id, hop.seq, hop.agent)
    headers = {
        "baton-schema": envelope.SCHEMA,
        "baton-run": hop.run_id,
        "baton-seq": str(hop.seq),
        "baton-tenant": hop.tenant,
        "baton-from": hop.from_agent,
    }
    sending = telemetry.sending(hop, len(body)) if watch is None else watch.sending(hop, len(body))
    with sending as sent:
        context = {"traceparent": sent.traceparent, "tracestate": hop.tracestate}
        headers |= {name: value for name, value in context.items() if value is not None}
        try:
            await broker.publish(Outgoing(hop.agent, body, hop.run_id, hop.seq, headers))
        except BrokerError as error:
            sent.error = error.code
            logger.info("left to the poll: %s/%d: %s", hop.run_id, hop.seq, error)
