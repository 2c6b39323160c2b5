"""Redriving: which hop of an ended run is tried again, and what a list of the dead says.

In: what the journal has of a run that ended badly, or of a message that nothing could be made of.
Out: the hop that a new run begins with; views.
"""

from collections.abc import Sequence

from baton.envelope import decode
from baton.errors import NotFoundError, RequestError
from baton.journal.views import DeadView, RunView
from baton.protocol.guards import HUMAN
from baton.request import RunStatus

QUARANTINE = "quarantine"
"""The reason of every message in quarantine, in lists and filters."""
_MESSAGE = "q"


def check(status: RunStatus, redriven_as: str | None) -> None:
    """Refuse what cannot be redriven.

    Args:
        status: The run's.
        redriven_as: The run that went on with it; None: nobody did.

    Raises:
        RequestError: It goes on by itself, has its answer, or was redriven before.
    """
    if status not in ("failed", "cancelled"):
        raise RequestError(f"the run is {status}; only a failed or cancelled one can be redriven", code="not_dead")
    if redriven_as is not None:
        raise RequestError(f"the run was redriven before, as {redriven_as}", code="not_dead")


def start(hops: Sequence[tuple[str, bytes]]) -> int:
    """Return the `seq` to go on from: the last hop that can be tried again.

    A person's hop and a question that nobody answered cannot: the agent before them decides again.

    Args:
        hops: Agent and head of each hop, in order; the first is the router's.
    """
    for seq in range(len(hops) - 1, 0, -1):
        agent, head = hops[seq]
        if agent != HUMAN and not _is_unanswered(head):
            return seq
    return 0


def _is_unanswered(head: bytes) -> bool:
    envelope = decode(head)
    return envelope.kind == "reply" and envelope.reply is None


def moved(head: bytes, new_run_id: str) -> bytes:
    """Return the head of a hop as another run's: all else as it was, since its steps replay from it."""
    return decode(head).model_copy(update={"run_id": new_run_id}).head() if head else b""


def is_message(dead_id: str) -> bool:
    """Return True for the id of a message in quarantine, False for a run's."""
    return dead_id.startswith(_MESSAGE)


def message_number(dead_id: str) -> int:
    """Return the number of a message in quarantine.

    Raises:
        NotFoundError: The id is none of a message.
    """
    digits = dead_id[len(_MESSAGE) :]
    if not is_message(dead_id) or not (digits.isascii() and digits.isdigit()) or len(digits) > 18:
        raise NotFoundError(f"{dead_id!r} is no message in quarantine; their ids are q1, q2, …")
    return int(digits)


def dead_run(run: RunView) -> DeadView:
    """Return a failed run as a list of the dead shows it."""
    assert run.error is not None, "a failed run says why"
    assert run.ended_at is not None, "and has ended"
    return DeadView(
        id=run.run_id,
        kind="run",
        reason=run.error.code,
        message=run.error.message,
        at=run.ended_at,
        agent=run.error.agent or run.agent,
        tenant=run.tenant,
        text=run.text,
    )


def dead_message(number: int, at: float, source: str, reason: str, beginning: bytes) -> DeadView:
    """Return a message in quarantine as a list of the dead shows it."""
    return DeadView(
        id=f"{_MESSAGE}{number}",
        kind="message",
        reason=QUARANTINE,
        message=reason,
        at=at,
        agent=source,
        text=beginning.decode("utf-8", "replace"),
    )
