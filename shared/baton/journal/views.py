"""What reading the journal gives: rows for people, programs and tests.

In: rows. Out: frozen models for the command line and `--json`.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from baton.request import Failure, RunStatus

NOBODY = "nobody"
"""The label of a request that was for no agent."""


class _View(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True)


class RunView(_View):
    """One run as it stands."""

    run_id: str
    conversation_id: str
    tenant: str
    status: RunStatus
    agent: str | None
    """Where it stands, or who ended it."""
    text: str
    """The request's."""
    answer: str | None = None
    error: Failure | None = None
    batch: str | None = None
    redrive_of: str | None = None
    stop: str | None = None
    """Why it will end at the agent's next write; None: it will not."""
    accepted_at: float
    ended_at: float | None = None
    deadline_at: float | None = None
    traceparent: str | None = None
    """Of its root span; None: it was accepted without tracing."""
    caller: str | None = None
    """`traceparent` of whoever asked."""


class RunFilter(_View):
    """Which runs to list."""

    tenant: str | None = None
    status: RunStatus | None = None
    agent: str | None = None
    batch: str | None = None
    conversation_id: str | None = None
    limit: int = 50


class HopView(_View):
    """One hop as it stands."""

    run_id: str
    seq: int
    agent: str
    from_agent: str | None
    kind: str
    status: str
    attempt: int
    token: int
    owner: str | None
    due_at: float | None
    pending_since: float
    started_at: float | None
    ended_at: float | None
    head: dict[str, Any]
    outcome: dict[str, Any] | None
    error: Failure | None


class WindowFilter(_View):
    """Whose hops to count."""

    since_s: float = 3600.0
    """Of runs that were accepted within so many seconds before now."""
    tenant: str | None = None
    limit: int = 10_000
    """Most runs; the newest."""


class WindowHop(_View):
    """One hop, as far as the handoff graph needs it."""

    run_id: str
    seq: int
    agent: str
    from_agent: str | None
    kind: str
    is_failed: bool
    """True: its run failed here."""
    is_copied: bool
    """True: another run took it, of which this one is a redrive."""
    queue_s: float | None
    """Seconds from the hop becoming pending to its first claim; None: there was none, or a retry, a hand-back, a lost
    attempt or the end of a wait has overwritten when."""


class HopWindow(_View):
    """The hops of the runs that were accepted in a window of time."""

    hops: tuple[WindowHop, ...]
    """By run, in order; the oldest run first."""
    is_cut: bool
    """True: there were more runs than the limit, and the oldest are left out."""


class StepView(_View):
    """One recorded step."""

    seq: int
    scope: str
    key: str
    status: str
    effect: str
    result: Any
    idempotency_key: str
    attempt: int
    started_at: float
    ended_at: float | None


class WaitView(_View):
    """One wait, open or over."""

    wait_id: str
    run_id: str
    seq: int
    kind: str
    agent: str
    prompt: str
    options: tuple[str, ...]
    status: str
    created_at: float
    deadline_at: float | None
    answer: dict[str, Any] | None
    answered_at: float | None


class EventView(_View):
    """One line of a run's timeline."""

    number: int
    """1, 2, …; no gap within a run."""
    at: float
    seq: int
    type: str
    data: dict[str, Any]


class DeadFilter(_View):
    """Which dead letters to list."""

    reason: str | None = None
    """A failure's code, such as `max_attempts`, or `quarantine`; None: any."""
    tenant: str | None = None
    limit: int = 50


class DeadView(_View):
    """A failed run that nobody has redriven or discarded, or a message in quarantine."""

    id: str
    """The run's id, or `q` and the message's number."""
    kind: Literal["run", "message"]
    reason: str
    """The failure's code, or `quarantine`."""
    message: str
    at: float
    agent: str | None = None
    """Where the run failed, or the queue that the message was on."""
    tenant: str | None = None
    text: str = ""
    """The request's, or the beginning of the message."""


class AgentView(_View):
    """One registered agent and its load."""

    name: str
    description: str
    version: str
    entry: bool
    skills: int
    targets: tuple[str, ...]
    registered_at: float
    pending: int
    running: int
    waiting: int
    replicas: int = 0
    """Live processes that serve it; 0, too, where no process beats, as on `memory://`."""
    seen_at: float | None = None
    """When one of its processes was last seen; None: none was, or all have stopped in an orderly way."""


class LabelView(_View):
    """Whose a run's request was, said by a person."""

    run_id: str
    agent: str
    """A registered agent, `human`, or `nobody`: the request was for none of them."""
    labelled_by: str
    labelled_at: float


class DecisionFilter(_View):
    """Which of the router's decisions to read."""

    since_s: float = 7 * 86_400.0
    """Of runs that were accepted within so many seconds before now."""
    tenant: str | None = None
    is_labelled: bool = False
    """True: only those that a person has labelled."""
    after: str = ""
    """The last run of the page before; empty: the first page."""
    limit: int = 1000


class DecisionView(_View):
    """What the router first decided on a request."""

    run_id: str
    tenant: str
    accepted_at: float
    text: str
    """The request's."""
    routed: dict[str, Any]
    """The decision as it was stored, see `protocol.route.Routed.stored`."""
    label: str | None
    """`LabelView.agent`; None: nobody has said."""
