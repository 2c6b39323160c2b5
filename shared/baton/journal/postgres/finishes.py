"""Ends of many attempts in one call: handoffs, retries, and ends of runs that nobody waits for.

In: a `Finish` each. Out: what was applied. What needs a decision is left to `finishing`.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from baton import codec, ids
from baton.journal import stored
from baton.journal.postgres import finishing
from baton.journal.postgres.connecting import Connection
from baton.journal.postgres.lanes import SLOW, Kind, Order, Slow
from baton.journal.records import Finish, Finished, PendingHop

_NOTHING = (None,) * 6


class _Columns(NamedTuple):
    """A finish as the call takes it."""

    values: tuple[Any, ...]
    does_talk: bool
    """True: it changes its conversation."""
    events: list[tuple[Any, ...]]
    messages: list[tuple[Any, ...]]


def _columns(finish: Finish) -> _Columns:
    lease, following, end = finish.lease, finish.next, finish.end
    values = (
        lease.run_id,
        lease.seq,
        lease.token,
        finish.hop_status,
        0 if finish.is_attempt else 1,
        finishing.outcome_bytes(finish),
        None if finish.error is None else finish.error.model_dump_json().encode(),
        finish.retry_in_s or 0.0,
        None if finish.facts is None else codec.encode(finish.facts),
        finish.active_agent,
        *(
            _NOTHING
            if following is None
            else (
                following.seq,
                following.agent,
                following.from_agent,
                following.kind,
                following.head,
                following.digest,
            )
        ),
        *(
            _NOTHING[:5]
            if end is None
            else (end.status, end.agent, stored.result_bytes(end), stored.error_bytes(end), ids.result_id(lease.run_id))
        ),
    )
    return _Columns(
        values,
        bool(end or finish.facts is not None or finish.active_agent is not None or finish.messages),
        [(event.seq, event.type, codec.encode(event.data)) for event in finish.events],
        [
            (one.role, one.name, one.text, None if one.data is None else codec.encode(one.data))
            for one in finish.messages
        ],
    )


def is_plain(finish: Finish) -> bool:
    """Return True for a finish that a call may carry out: no wait begins."""
    return finish.wait is None and (finish.next is None or finish.next.status == "pending")


def _arguments(batch: Sequence[_Columns]) -> list[object]:
    values = list(zip(*(one.values for one in batch), strict=True))
    talks = [one.does_talk for one in batch]
    events = [len(one.events) for one in batch]
    messages = [len(one.messages) for one in batch]
    return [
        *values[:8],
        talks,
        *values[8:],
        list(accumulate(events[:-1], initial=0)),
        events,
        list(accumulate(messages[:-1], initial=0)),
        messages,
        *_turned([event for one in batch for event in one.events], 3),
        *_turned([message for one in batch for message in one.messages], 4),
    ]


def _turned(found: list[tuple[Any, ...]], width: int) -> list[Sequence[Any]]:
    """Return rows as columns, `width` of them where there is no row, too."""
    return list(zip(*found, strict=True)) if found else [()] * width


async def _read(_: Connection, batch: Sequence[Order[Finish, Finished]], found: list[Any]) -> list[Finished | Slow]:
    became: list[Finished | Slow] = [SLOW] * len(batch)
    for row in found:
        number = row["item"] - 1
        became[number] = _finished(batch[number].command, row)
    return became


def _finished(finish: Finish, row: Any) -> Finished:
    run_id, following = finish.lease.run_id, finish.next
    ended = (run_id,) if finish.end is not None else ()
    if following is None:
        return Finished("applied", (), ended)
    published = PendingHop(
        run_id,
        following.seq,
        following.agent,
        following.from_agent,
        row["tenant"],
        row["traceparent"],
        row["tracestate"],
    )
    return Finished("applied", (published,), ended)


FINISH: Kind[Finish, Finished] = Kind(
    name="finish",
    sql=f"SELECT * FROM finish_hops({', '.join(f'${n}' for n in range(1, 34))})",
    columns=_columns,
    order=lambda finish: finish.lease.run_id,
    rivals=lambda finish: (finish.lease.run_id,),
    arguments=_arguments,
    read=_read,
    alone=lambda finish: lambda tx: finishing.finish(tx, finish),
)
"""Write the ends of attempts and what follows."""
