"""What a command is known under, so that its repetition is the same thing, and what it became.

In: a request, reply or cancel. Out: its key with a hash of its body. The same key with another body is a conflict.
"""

from typing import Literal, NamedTuple

from baton import codec
from baton.journal.records import Accept, Cancel, Reply


class Mark(NamedTuple):
    """What a command is known under."""

    tenant: str
    key: str
    body_hash: str


class Took(NamedTuple):
    """What a command became."""

    took: Literal["run", "reply", "cancel"]
    run_id: str
    wait_id: str | None = None


def of_accept(command: Accept) -> Mark:
    """Return a request's mark; without a key, its own run id: it may have become a reply."""
    if command.key is None:
        return Mark(command.tenant, command.run_id, "")
    return Mark(command.tenant, command.key, codec.fingerprint(command.request.model_dump()))


def of_reply(reply: Reply) -> Mark:
    """Return a reply's mark."""
    said = [reply.run_id, reply.wait_id, reply.text, reply.decision, reply.handoff, reply.reason]
    return Mark(reply.tenant, reply.key or reply.reply_id, codec.fingerprint(said))


def of_cancel(wish: Cancel, tenant: str, key: str) -> Mark:
    """Return the mark of a cancel that has a key; the tenant is the run's."""
    return Mark(tenant, key, codec.fingerprint([wish.run_id, "cancel", wish.reason]))
