"""Which messages cross a handoff, and how their places are stored.

In: the conversation's log and a `Transfer`. Out: the messages for the envelope, and their positions
as ranges, so that the hop's row grows with the cut and not with the log.
"""

from collections.abc import Iterable, Sequence

from baton.envelope import Message
from baton.errors import OutcomeError
from baton.outcome import Transfer

Spans = tuple[tuple[int, int], ...]


def select(log: Sequence[Message], transfer: Transfer, summary: str | None) -> tuple[Message, ...]:
    """Return the messages of `log` that `transfer` lets cross, in the log's order.

    Raises:
        OutcomeError: The transfer is of no known form, asks for a summary without giving one, or
            its function made up messages.
    """
    if transfer == "full":
        return tuple(log)
    if transfer == "summary":
        if not summary:
            raise OutcomeError('transfer="summary" needs summary="…": what the target should know')
        return ()
    if isinstance(transfer, int) and not isinstance(transfer, bool):
        if transfer < 0:
            raise OutcomeError(f"transfer={transfer}: the number of last messages is 0 or more")
        return tuple(log[len(log) - transfer :] if transfer < len(log) else log)
    if callable(transfer):
        return _picked(log, transfer(tuple(log)))
    raise OutcomeError(f'transfer={transfer!r}; allowed are "full", "summary", a number, or a function')


def spans(positions: Sequence[int]) -> Spans:
    """Return ascending positions as ranges `[first, last)`."""
    ranges: list[tuple[int, int]] = []
    for position in positions:
        if ranges and ranges[-1][1] == position:
            ranges[-1] = (ranges[-1][0], position + 1)
        else:
            ranges.append((position, position + 1))
    return tuple(ranges)


def extend(ranges: Spans, position: int) -> Spans:
    """Return `ranges` with one later position more."""
    if ranges and ranges[-1][1] == position:
        return (*ranges[:-1], (ranges[-1][0], position + 1))
    return (*ranges, (position, position + 1))


def _picked(log: Sequence[Message], chosen: object) -> tuple[Message, ...]:
    if not isinstance(chosen, Iterable):
        raise OutcomeError(f"transfer=function returned {type(chosen).__name__}; it returns messages of the log")
    known = {message.position: message for message in log}
    picked = set()
    for message in chosen:
        position = getattr(message, "position", -1)
        if known.get(position) != message:
            raise OutcomeError("transfer=function returned a message that is not in the log; it may only pick")
        picked.add(position)
    return tuple(known[position] for position in sorted(picked))
