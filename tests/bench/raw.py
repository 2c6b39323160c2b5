"""The reference: five processes with plain aio-pika, one quorum queue each, and nothing else.

A stage parses the envelope, appends a message, publishes it to the next queue, waits for the broker's confirm,
and only then acks. `python -m tests.bench.raw STAGE URL` is one stage.
"""

import asyncio
import contextlib
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aio_pika

from baton.bench.load import Submit
from baton.bench.stages import STAGES, TEXT

PREFETCH = 200
SERVING = b"serving\n"
"""What a stage prints once it consumes."""
QUORUM = {"x-queue-type": "quorum"}
ANSWERS = STAGES + 1
"""The queue after the last stage is the driver's."""

Publish = Callable[[str, bytes], Awaitable[None]]
OnBody = Callable[[bytes, Publish], Awaitable[None]]


def queue_of(stage: int) -> str:
    return f"raw.{stage}"


def envelope(run: str) -> dict[str, Any]:
    """Return what travels: as much context as the measured system carries along."""
    history = [{"role": "user", "name": "customer", "content": TEXT}]
    return {"run": run, "hop": 0, "goal": "resolve the ticket", "history": history}


def worked_on(body: bytes, stage: int) -> bytes:
    """Do the work of one hop: parse, append, serialise."""
    fields = json.loads(body)
    fields["hop"] += 1
    said = f"stage {stage} saw hop {fields['hop']} of {fields['run']}"
    fields["history"].append({"role": "assistant", "name": f"stage-{stage}", "content": said})
    return json.dumps(fields).encode()


def is_right(fields: dict[str, Any], run: str) -> bool:
    """Return True if every stage did its work once, in order."""
    said = [one["content"] for one in fields["history"][1:]]
    return said == [f"stage {stage} saw hop {stage} of {run}" for stage in range(1, STAGES + 1)]


@contextlib.asynccontextmanager
async def consuming(url: str, queue: str, on_body: OnBody) -> AsyncIterator[Publish]:
    """Consume a queue; each message is acked after `on_body`."""
    async with await aio_pika.connect_robust(url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        await channel.set_qos(prefetch_count=PREFETCH)
        exchange = channel.default_exchange

        async def publish(to: str, body: bytes) -> None:
            mode = aio_pika.DeliveryMode.PERSISTENT
            message = aio_pika.Message(body, delivery_mode=mode, content_type="application/json")
            await exchange.publish(message, routing_key=to)

        async def on_message(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            await on_body(message.body, publish)
            await message.ack()

        await (await channel.get_queue(queue, ensure=False)).consume(on_message)
        yield publish


async def declare(url: str) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        for stage in range(1, ANSWERS + 1):
            await channel.declare_queue(queue_of(stage), durable=True, arguments=dict(QUORUM))


async def work(stage: int, url: str) -> None:
    """Be one stage, for ever."""

    async def on_body(body: bytes, publish: Publish) -> None:
        await publish(queue_of(stage + 1), worked_on(body, stage))

    async with consuming(url, queue_of(stage), on_body):
        os.write(1, SERVING)
        await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def requesting(url: str) -> AsyncIterator[Submit]:
    """Give a function that takes one run through the relay and checks what comes back."""
    waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}

    async def on_body(body: bytes, _: Publish) -> None:
        fields = json.loads(body)
        waiting.pop(fields["run"]).set_result(fields)

    async with consuming(url, queue_of(ANSWERS), on_body) as publish:

        async def submit() -> bool:
            run = uuid.uuid4().hex
            answer = waiting[run] = asyncio.get_running_loop().create_future()
            await publish(queue_of(1), json.dumps(envelope(run)).encode())
            return is_right(await answer, run)

        yield submit


if __name__ == "__main__":
    asyncio.run(work(int(sys.argv[1]), sys.argv[2]))
