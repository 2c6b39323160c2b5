"""Rows and commands of the journal: what the hop loop asks for and what it gets back.

In: nothing. Out: times named `_at`, Unix seconds by the journal's clock; durations named `_s`, seconds.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from baton import ids
from baton.envelope import Kind, Message
from baton.request import Failure, Request, RunStatus

HopStatus = Literal["blocked", "pending", "running", "waiting", "done", "failed"]
WaitKind = Literal["user", "approval", "human", "review"]
WaitStatus = Literal["waiting", "answered", "expired", "cancelled"]
OnTimeout = Literal["fail", "escalate", "deny"]

REDELIVERY_S = 3600.0  # how long a message without a key is known by its hash


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's right to write for a hop; every write is guarded by its token."""

    run_id: str
    seq: int
    token: int  # grows by one with each claim of the hop


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to append to the conversation's log."""

    role: Literal["user", "agent", "person"]
    name: str | None
    text: str
    data: Any = None


@dataclass(frozen=True, slots=True)
class NewEvent:
    """A line for the run's timeline."""

    type: str
    """`accepted`, `handoff`, `answer`, `ask`, `retry`, …"""
    seq: int
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewHop:
    """The hop that follows; its row is the outbox entry."""

    seq: int
    agent: str
    from_agent: str
    kind: Kind
    status: Literal["pending", "waiting"]
    head: bytes
    """The envelope less its texts."""
    digest: str
    """Digest of the wire body; empty where only the journal has the context."""


@dataclass(frozen=True, slots=True)
class NewWait:
    """Why a hop stands still, and what ends it."""

    wait_id: str
    seq: int
    """The hop that goes on when the wait is over."""
    kind: WaitKind
    agent: str
    prompt: str
    options: tuple[str, ...] = ()
    deadline_s: float | None = None
    on_timeout: OnTimeout = "fail"
    step_key: str | None = None
    """The step that the answer becomes the record of (approval, review)."""
    step_scope: str = ""
    input_sha: str = ""


@dataclass(frozen=True, slots=True)
class RunEnd:
    """A run's terminal state."""

    status: Literal["completed", "failed", "cancelled"]
    agent: str | None = None
    text: str | None = None
    data: Any = None
    error: Failure | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A recorded call inside a hop."""

    scope: str
    """The hop's `seq`, or `agent:<name>` for a step recorded once per run and agent."""
    key: str
    status: Literal["intent", "done"]
    """`intent`: an unsafe effect was about to happen, and its outcome is not known."""
    input_sha: str
    result: bytes = b"null"
    """JSON."""
    idempotency_key: str = ""
    effect: str = "idempotent"
    seq: int = 0
    """The hop that recorded it."""
    attempt: int = 1
    started_at: float = 0.0
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of one attempt at a hop: everything that one transaction writes."""

    lease: Lease
    hop_status: HopStatus
    """`done`, `failed`, `waiting` (suspended), or `pending` (retry, hand-back)."""
    outcome: dict[str, Any] | None = None
    """What the turn decided, for the timeline and for re-deciding offline."""
    error: Failure | None = None
    retry_in_s: float | None = None
    is_attempt: bool = True  # False for suspensions and hand-backs: they use up none
    messages: tuple[NewMessage, ...] = ()
    facts: dict[str, Any] | None = None
    """The conversation's facts from now on; None: unchanged."""
    active_agent: str | None = None
    """Who gets follow-ups from now on; None: unchanged, empty: nobody."""
    next: NewHop | None = None
    wait: NewWait | None = None
    end: RunEnd | None = None
    events: tuple[NewEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class PendingHop:
    """A hop that just became pending and should be published."""

    run_id: str
    seq: int
    agent: str
    from_agent: str = ""
    tenant: str = "default"
    traceparent: str | None = None
    tracestate: str | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of a `Finish`."""

    outcome: Literal["applied", "fenced", "cancelled"]
    """`fenced`: the lease was lost and nothing was written. `cancelled`: the run ended instead."""
    publish: tuple[PendingHop, ...] = ()
    """Hops made pending: the next one, and that of a run which got the conversation."""
    ended: tuple[str, ...] = ()
    """Runs that ended or began to wait, for hints."""


@dataclass(frozen=True, slots=True)
class ClaimCommand:
    """A wish to work on one hop."""

    run_id: str
    seq: int
    agent: str
    claim_id: str
    """Random; after a lost commit reply the claim is mine only if the row holds it."""
    owner: str
    lease_s: float
    max_attempts: int
    digest: str | None = None
    """Digest of the body in hand; equal to the row's: the body is used as it is."""
    takes_suspect: bool = True
    """False: leave a hop that may be what killed its workers to the poll, which takes one at a time."""


@dataclass(frozen=True, slots=True)
class RunState:
    """What a worker has to know of the run beside the envelope."""

    tenant: str
    root_run_id: str
    """The first of a chain of redrives; idempotency keys derive from it."""
    request: dict[str, Any]
    """The request's fields but for its text; only given to the router."""
    deadline_at: float | None
    active_agent: str | None
    active_at: float | None
    facts: dict[str, Any]
    """The conversation's facts now."""
    log_length: int
    """Messages in the conversation's log now."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A hop that is mine until its lease runs out."""

    lease: Lease
    agent: str
    attempt: int  # 1-based
    pending_since: float
    run: RunState
    now: float
    """The journal's clock at the claim."""
    digest: str = ""
    """Of the row's body."""
    head: bytes | None = None
    """Given where the body in hand was not the row's."""
    text: str | None = None
    """The request's text, where it is not among the messages."""
    messages: tuple[Message, ...] = ()
    steps: tuple[Step, ...] = ()
    """All steps of the run so far."""
    traceparent: str | None = None
    tracestate: str | None = None
    caller: str | None = None
    accepted_at: float = 0.0
    is_suspect: bool = False  # it may be what killed its workers; see `protocol.poll`


@dataclass(frozen=True, slots=True)
class PollCommand:
    """A replica's look for hops of its own agent."""

    agent: str
    claim_id: str
    """Each claimed hop gets it with its place appended."""
    owner: str
    lease_s: float
    max_attempts: int
    limit: int
    missed_before: float | None
    """Take first attempts that became pending before this time of the journal's clock; None: none."""
    overdue_s: float | None = None
    """Take first attempts that have been pending for so long, too, in seconds, >= 0; None: none."""
    busy: frozenset[tuple[str, int]] = frozenset()
    """Hops that this process works on."""
    takes_suspect: bool = True
    """True: at most one hop that may be what killed its workers. False: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a command came from: how its repetition is known, and where its result goes."""

    key: str | None = None
    """Idempotency key; None: only `redelivery_key` tells a repetition."""
    redelivery_key: str | None = None
    """What a message without a key is recorded under: a hash; looked up for redelivered ones, for `REDELIVERY_S`."""
    is_redelivered: bool = False
    reply_to: str | None = None
    """Queue that gets the run's result and its questions; None: nobody asked for them."""
    correlation_id: str | None = None


@dataclass(frozen=True, slots=True)
class Accept(Origin):
    """A request to record as a run, or as the reply its conversation waits for."""

    run_id: str
    tenant: str
    request: Request
    traceparent: str | None = None  # of the run's root span; None: accepted without tracing
    tracestate: str | None = None
    caller: str | None = None  # `traceparent` of whoever asked
    batch: str | None = None
    """Groups runs for `baton runs --batch`."""
    max_hops: int = 16
    claim: ClaimCommand | None = None
    """Claim hop 0 at once, in the same transaction; None: it is left to be published."""
    tenant_running: int | None = None
    """Runs that the tenant may have under way; one more begins when it is admitted. None: any number."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a request became."""

    run_id: str
    conversation_id: str
    took: Literal["run", "reply", "cancel"]
    is_new: bool  # False: its key was known; nothing was done again
    publish: tuple[PendingHop, ...] = ()
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class Reply(Origin):
    """An answer to a wait."""

    run_id: str
    wait_id: str | None = None
    """None: the wait the run has open."""
    text: str | None = None
    decision: Literal["approve", "reject"] | None = None
    handoff: str | None = None
    """A person at the desk gives the run to this agent."""
    reason: str = ""
    by: str = "user"
    is_requesters: bool = False  # True: whoever asked sent it; what waits for a person is not theirs to answer
    tenant: str = "default"
    reply_id: str = field(default_factory=ids.new_id)
    """Random; after a lost commit reply the answer that counts is mine only if the wait holds it."""


@dataclass(frozen=True, slots=True)
class Cancel(Origin):
    """A wish to end a run; `tenant`: whose it has to be, None: anybody's."""

    run_id: str
    by: str
    reason: str = ""
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class Replied:
    """What a reply or a cancel did."""

    run_id: str
    status: RunStatus
    publish: tuple[PendingHop, ...] = ()
    ended: tuple[str, ...] = ()
    is_new: bool = True


@dataclass(frozen=True, slots=True)
class Sweep:
    """What housekeeping found: deadlines, expired waits, conversations that nobody passed on."""

    publish: tuple[PendingHop, ...] = ()
    ended: tuple[str, ...] = ()
    expired: int = 0
    passed_on: int = 0
    roots: tuple[str, ...] = ()  # runs that ended in no worker's hands; told once


@dataclass(frozen=True, slots=True)
class Renewed:
    """Leases that still hold, and runs to stop working on."""

    held: frozenset[Lease]
    stop: frozenset[str] = frozenset()
    """Runs that were cancelled or passed their deadline."""
