"""The world that the model explores, as small immutable values; statuses are the journal's own words.

Out: `State`, which is the journal, the queues, the workers and the clients between two atomic steps.

Tokens are only ever compared with the row's, so no number is kept: a worker `holds` a hop while its
token is the row's, and a claim takes that from all others. Faults used up are no part of a state:
`explore` reaches each state with as few of them as it can.
"""

from typing import Any, NamedTuple, TypeVar

from baton.journal.records import HopStatus, WaitStatus

T = TypeVar("T")


def replaced(items: tuple[T, ...], number: int, item: T) -> tuple[T, ...]:
    """Return `items` with one of them replaced."""
    return (*items[:number], item, *items[number + 1 :])


NOBODY = -1
"""Holder of a free conversation."""
EACH = -2
"""Each run has a conversation of its own, and holds it."""

HopName = tuple[int, int]
"""Run and seq: what a message on an agent's queue says."""


class Hop(NamedTuple):
    """A row of `hops` with its wait; then what only the oracle looks at."""

    status: HopStatus
    attempt: int = 0
    awaits_poll: bool = False
    """True for a retry or hand-back: nothing was published for it, and it may not be due yet."""
    wait: WaitStatus | None = None
    kind: str = ""
    """The wait's."""
    records: int = 0
    """How often its step was recorded."""
    keys: tuple[str, ...] = ()
    """The bank's ledger: idempotency keys under which its effect was done."""
    said: int = 0
    """How often its finish inserted messages, a next hop and events."""
    completed: int = 0
    """How often it was set to done or failed by a finish."""
    decided: int = 0
    """How often its wait was answered, expired or cancelled."""


class Run(NamedTuple):
    """A row of `runs`, in the order of acceptance."""

    hops: tuple[Hop, ...]
    status: str = "open"
    """Or `completed`, `failed`, `cancelled`."""
    stop: bool = False
    began: bool = False
    """Its text has joined the conversation."""
    ends: int = 0
    """How often it was given a terminal state."""


class Journal(NamedTuple):
    """Everything durable."""

    runs: tuple[Run, ...] = ()
    holder: int = NOBODY
    """The run that has the conversation; all runs are of one, or of `EACH` their own."""
    taken: tuple[tuple[tuple[str, int], ...], ...] = ()
    """By key: what it was accepted as, a `run` or a `reply`, and to which; more than one is wrong."""
    addresses: tuple[tuple[str, int], ...] = ()
    """By request, its result address and the run: `unknown`, `kept`, `due` (a row of `deliveries`), `sent`."""

    def with_hop(self, hop: HopName, **changes: Any) -> "Journal":
        """Return the journal with fields of one hop replaced."""
        run, seq = hop
        hops = self.runs[run].hops
        return self.with_run(run, hops=replaced(hops, seq, hops[seq]._replace(**changes)))

    def with_run(self, run: int, **changes: Any) -> "Journal":
        """Return the journal with fields of one run replaced."""
        return self._replace(runs=replaced(self.runs, run, self.runs[run]._replace(**changes)))


class Worker(NamedTuple):
    """A replica with one slot, which serves every queue."""

    phase: str = "idle"
    """`idle`, `given` (a delivery), `asked` (a request), `unsure` (of a claim), `claimed`, `acted`, `ready`,
    `quitting`, `publishing`, `acking`; `adding` (an address)."""
    hop: HopName = (NOBODY, NOBODY)
    attempt: int = 0
    delivery: int = 0
    """What it has to ack: 0 nothing, 1 the hop's message, 2 + k request k."""
    holds: bool = False
    """Its token is the row's."""
    is_late: bool = False
    """Its lease ran out, and it does not know."""
    knows_record: bool = False
    """The hop's step is recorded: by an earlier attempt, or by itself."""
    publishes: tuple[HopName, ...] = ()


IDLE = Worker()


class State(NamedTuple):
    """The world between two atomic steps."""

    journal: Journal
    queue: tuple[HopName, ...] = ()
    """All agents' queues as one, sorted: deliveries come in any order."""
    inbox: tuple[int, ...] = ()
    """`baton.requests`: which requests lie there, sorted."""
    workers: tuple[Worker, ...] = ()
    """Sorted: which is which makes no difference."""
    clients: tuple[str, ...] = ()
    """How far each client is: "", what it `saw …`, `done`."""

    def leased(self, hop: HopName) -> bool:
        """Return True while somebody alive has a lease of `hop` that has not run out."""
        return any(w.holds and not w.is_late and w.hop == hop for w in self.workers)

    def with_worker(self, number: int, worker: Worker) -> "State":
        """Return the state with one worker replaced."""
        return self._replace(workers=tuple(sorted(replaced(self.workers, number, worker))))

    def with_client(self, number: int, saw: str) -> "State":
        """Return the state with one client's progress replaced."""
        return self._replace(clients=replaced(self.clients, number, saw))

    def publish(self, *hops: HopName) -> "State":
        """Return the state with messages put into the queue."""
        return self._replace(queue=tuple(sorted((*self.queue, *hops)))) if hops else self

    def send(self, request: int) -> "State":
        """Return the state with a request put into the inbox."""
        return self._replace(inbox=tuple(sorted((*self.inbox, request))))
