"""Claims of many hops in one call, and polls.

In: wishes. Out: a `Claim` with all that the hop needs; its messages and steps are read after the claim, when
nobody else can write them any more.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from baton import codec
from baton.envelope import Message
from baton.journal import stored
from baton.journal.postgres import claiming
from baton.journal.postgres.connecting import Connection
from baton.journal.postgres.lanes import SLOW, Kind, Order, Slow
from baton.journal.postgres.transaction import Transaction
from baton.journal.records import Claim, ClaimCommand, Lease, PollCommand, Step
from baton.protocol import poll as poll_rules

_Name = tuple[str, int]


def _columns(command: ClaimCommand) -> tuple[object, ...]:
    return (
        command.run_id,
        command.seq,
        command.agent,
        command.claim_id,
        command.owner,
        command.lease_s,
        command.max_attempts,
        claiming.lost_below(command),
        command.digest,
    )


async def _read(
    connection: Connection, batch: Sequence[Order[ClaimCommand, Claim | None]], found: list[Any]
) -> list[Claim | Slow | None]:
    became: list[Claim | Slow | None] = [None] * len(batch)
    taken = [(batch[row["item"] - 1].command, row) for row in found if row["token"] is not None]
    claims = await _claims(connection, [((wish.run_id, wish.seq), wish.agent, row) for wish, row in taken])
    for (_, row), claim in zip(taken, claims, strict=True):
        became[row["item"] - 1] = claim
    for row in found:
        if row["token"] is None:
            became[row["item"] - 1] = SLOW
    return became


CLAIM: Kind[ClaimCommand, Claim | None] = Kind(
    sql="SELECT * FROM claim_hops($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    columns=_columns,
    order=lambda wish: (wish.run_id, wish.seq),
    rivals=lambda wish: ((wish.run_id, wish.seq),),
    arguments=lambda columns: list(zip(*columns, strict=True)),
    read=_read,
    alone=lambda wish: lambda tx: claiming.claim(tx, wish),
)
"""Take hops whose time has come."""


Polled = tuple[list[Claim], list[ClaimCommand]]
"""Claims, and wishes that have to be seen to alone."""


class Poll:
    """A poll as an operation. Done again, it first looks for what it took when its reply was lost.

    Args:
        command: Each hop that it takes gets the command's claim id, with its place appended.
    """

    def __init__(self, command: PollCommand) -> None:
        self._command = command
        self._is_repeated = False

    async def __call__(self, tx: Transaction) -> Polled:
        """Claim what the broker will not deliver."""
        if self._is_repeated and (taken := await self._taken(tx)):
            return [], taken
        self._is_repeated = True
        return await self._take(tx)

    async def _take(self, tx: Transaction) -> Polled:
        command = self._command
        found = await tx.all(
            "SELECT * FROM poll_hops($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            command.agent,
            command.claim_id,
            command.owner,
            command.lease_s,
            command.max_attempts,
            command.limit,
            poll_rules.suspect_from(command.max_attempts),
            command.takes_suspect,
            command.missed_before,
            command.overdue_s,
            [run_id for run_id, _ in command.busy],
            [seq for _, seq in command.busy],
        )
        taken = [row for row in found if row["token"] is not None]
        claims = await _claims(tx.connection, [((row["run_id"], row["seq"]), command.agent, row) for row in taken])
        marked = [
            replace(claim, is_suspect=True) if row["is_suspect"] else claim
            for claim, row in zip(claims, taken, strict=True)
        ]
        left = [_wish(command, row["run_id"], row["seq"], row["is_suspect"]) for row in found if row["token"] is None]
        return marked, left

    async def _taken(self, tx: Transaction) -> list[ClaimCommand]:
        command = self._command
        found = await tx.all(
            "SELECT run_id, seq, claim_id FROM hops WHERE agent = $1 AND status = 'running' "
            "AND (status = 'running' OR (status = 'pending' AND awaits_poll)) "
            "AND claim_id >= $2 || ':' AND claim_id < $2 || ';' ORDER BY due_at, run_id",
            command.agent,
            command.claim_id,
        )
        return [
            _wish(command, row["run_id"], row["seq"], row["claim_id"].startswith(command.claim_id + ":s:"))
            for row in found
        ]


def is_suspect(wish: ClaimCommand) -> bool:
    """Return True for a wish of a poll for the hop that may be what killed its workers."""
    return ":s:" in wish.claim_id


def _wish(command: PollCommand, run_id: str, seq: int, is_suspect: bool) -> ClaimCommand:
    return ClaimCommand(
        run_id,
        seq,
        command.agent,
        f"{command.claim_id}:{'s' if is_suspect else 'h'}:{run_id}:{seq}",
        command.owner,
        command.lease_s,
        command.max_attempts,
    )


async def _claims(connection: Connection, taken: Sequence[tuple[_Name, str, Any]]) -> list[Claim]:
    """Return the claims of hops that were taken, with the texts and steps that they need."""
    heads = {name: codec.decode(row["head"]) for name, _, row in taken if row["head"] is not None}
    texts = await _messages(connection, [(name, row, heads[name]) for name, _, row in taken if name in heads])
    steps = await _steps(connection, [name[0] for name, _, row in taken if row["has_steps"]])
    return [
        _claim(name, agent, row, _Read(heads.get(name), texts.get(name, {}), steps.get(name[0], ())))
        for name, agent, row in taken
    ]


class _Read:
    """What is read beside the hop's row."""

    __slots__ = ("messages", "steps", "text")

    def __init__(self, head: dict[str, Any] | None, found: dict[int, Message], steps: Sequence[Step]) -> None:
        self.steps = tuple(steps)
        self.messages: tuple[Message, ...] = ()
        self.text: str | None = None
        if head is None:
            return
        position = head.get("text_position", 0)
        places = [place for first, last in head.get("spans", ()) for place in range(first, last)]
        self.messages = tuple(found[place] for place in places if place in found)
        self.text = None if position in places else found[position].text


def _claim(name: _Name, agent: str, row: Any, read: _Read) -> Claim:
    return Claim(
        lease=Lease(*name, row["token"]),
        agent=agent,
        attempt=row["attempt"],
        pending_since=row["pending_since"],
        run=stored.run_state(row, row["kind"]),
        now=row["now"],
        digest=row["digest"],
        head=row["head"],
        text=read.text,
        messages=read.messages,
        steps=read.steps,
        traceparent=row["traceparent"],
        tracestate=row["tracestate"],
        caller=row["caller"],
        accepted_at=row["accepted_at"],
    )


async def _messages(
    connection: Connection, wanted: Sequence[tuple[_Name, Any, dict[str, Any]]]
) -> dict[_Name, dict[int, Message]]:
    """Return the messages that each hop's head names, by their positions."""
    spans = [
        (number, row["tenant"], row["conversation_id"], first, last)
        for number, (_, row, head) in enumerate(wanted)
        for first, last in (*head.get("spans", ()), (head.get("text_position", 0), head.get("text_position", 0) + 1))
    ]
    if not spans:
        return {}
    found = await connection.fetch(
        "SELECT s.number, m.* FROM unnest($1::int[], $2::text[], $3::text[], $4::int[], $5::int[]) "
        "AS s (number, tenant, conversation_id, first, last) JOIN messages m ON m.tenant = s.tenant "
        "AND m.conversation_id = s.conversation_id AND m.position >= s.first AND m.position < s.last",
        *zip(*spans, strict=True),
    )
    texts: dict[_Name, dict[int, Message]] = {name: {} for name, _, _ in wanted}
    for row in found:
        texts[wanted[row["number"]][0]][row["position"]] = stored.as_message(row)
    return texts


async def _steps(connection: Connection, run_ids: Sequence[str]) -> dict[str, list[Step]]:
    if not run_ids:
        return {}
    steps: dict[str, list[Step]] = {}
    for row in await connection.fetch("SELECT * FROM steps WHERE run_id = ANY ($1)", sorted(set(run_ids))):
        steps.setdefault(row["run_id"], []).append(stored.as_step(row))
    return steps
