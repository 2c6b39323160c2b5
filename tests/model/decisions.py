"""The decisions that the model explores are those that the code runs, called here and boiled down.

Shared with the hop loop: `protocol.settle` (outcome, error, suspension, hand-back; through it `guards`,
`moving`, `transfer` and `retry.after_error`), `protocol.route.addressed`, `protocol.waiting` (what a reply
may be, what it or an expiry does, which waits release), `protocol.poll` (what counts as missed, who is a
suspect), `hop.steps` (an approval suspends once and is then replayed) and `ids.idempotency_key`.
Restated, because each journal says them in SQL: its transactions (`transactions`, `conversation`), each as
one atomic step; what a poll finds (`polling`); and the order in which the hop loop takes its steps (`moves`).
Not modelled: `unsafe` intents, renewal and step timing, deadlines of runs, keyless requests, redriving,
deadlocks of statements, prefetch beyond one slot per replica.
"""

from functools import cache
from typing import NamedTuple

from baton import ids
from baton.envelope import decode
from baton.errors import TransientError
from baton.hop.steps import Steps, Suspended
from baton.journal.records import HopStatus, NewWait, Reply, Step
from baton.outcome import Answer, Ask, Handoff
from baton.protocol import poll, route, settle, waiting
from tests.support.hops import RUN_ID, make_context

DEADLINE_S = 60.0
RETRY_S = 2.0
STEP_KEY = "pay"


class Verdict(NamedTuple):
    """What a `Finish` does, as far as the model looks."""

    hop: HopStatus
    is_attempt: bool
    is_retry: bool
    """The hop goes back to the journal, to be tried later or elsewhere."""
    next: HopStatus | None
    wait: str
    """The kind of wait that begins, or ""."""
    end: str | None
    releases: bool
    """It waits for a person, and gives the conversation free."""


class Resumed(NamedTuple):
    """What the end of a wait does, as far as the model looks."""

    end: str | None
    """The terminal state that follows; None: the hop goes on."""


@cache
def verdict(act: str, attempt: int, max_attempts: int) -> Verdict:
    """Return what settling an act of a script writes.

    Args:
        act: `route`, `handoff`, `answer`, `ask`, `approve`, `raise` or `hand back`.
        attempt: Which try it is, 1-based.
        max_attempts: The agent's limit.
    """
    finish = _settled(act, attempt, max_attempts).finish
    wait = finish.wait
    return Verdict(
        finish.hop_status,
        finish.is_attempt,
        finish.hop_status == "pending",
        finish.next.status if finish.next else None,
        wait.kind if wait else "",
        finish.end.status if finish.end else None,
        wait is not None and wait.kind in waiting.RELEASING,
    )


def _settled(act: str, attempt: int, max_attempts: int) -> settle.Settled:
    context = make_context(attempt=attempt, max_attempts=max_attempts)
    if act == "route":
        router = make_context(agent="router", kind="route", seq=0, from_agent=None)
        routed = route.addressed(route.RouteInput("a", None), router.graph)
        assert routed is not None
        return settle.settle(router, routed)
    if act == "raise":
        return settle.settle_error(context, TransientError("not now"), RETRY_S)
    if act == "approve":
        return settle.suspend(context, _suspension())
    if act == "hand back":
        return settle.hand_back(context.lease, since=context.claimed_at)
    outcomes: dict[str, Answer | Handoff | Ask] = {
        "answer": Answer("done"),
        "handoff": Handoff("b", reason="theirs"),
        "ask": Ask("which?", deadline_s=DEADLINE_S),
    }
    return settle.settle(context, outcomes[act])


def _suspension(recorded: tuple[Step, ...] = ()) -> NewWait:
    """Return the wait that asking for an approval begins."""

    async def write(step: Step) -> bool:
        raise AssertionError(f"an approval writes nothing itself: {step}")

    steps = Steps(2, "a", root_run_id=RUN_ID, attempt=1, recorded=recorded, write=write)
    try:
        steps.approve(STEP_KEY, "may I?", deadline_s=DEADLINE_S).send(None)
    except Suspended as suspended:
        return suspended.wait
    except StopIteration:
        pass
    raise AssertionError("the approval was there already")


@cache
def after_wait(kind: str, how: str) -> Resumed:
    """Return what an `answered` or `expired` wait of this kind does to its run."""
    settled = _settled("ask" if kind == "user" else "approve", 1, 6).finish
    wait = settled.wait
    assert wait is not None
    hop = decode(settled.next.head) if settled.next else make_context().envelope
    if how == "expired":
        does = waiting.expiry(wait, hop)
    else:
        is_user = kind == "user"
        reply = Reply(RUN_ID, wait.wait_id, "visa" if is_user else None, None if is_user else "approve")
        waiting.check_reply(wait, reply, make_context().graph)
        does = waiting.resumption(wait, hop, reply)
    assert does.does in ("resume", "end"), f"the model has no {does.does}"
    if does.step is not None:
        _check_replay(does.step)
    return Resumed(does.end.status if does.end else None)


def _check_replay(step: Step) -> None:
    """Make sure that a turn which meets the answer's record does not ask again."""
    try:
        _suspension((step,))
    except AssertionError:
        return
    raise AssertionError("the answer is recorded, and the turn asks again")


@cache
def is_missed(age_s: float, quiet_s: float | None) -> bool:
    """Return True where a replica takes a first attempt that the broker did not deliver.

    Args:
        age_s: For how long the hop has been pending.
        quiet_s: For how long the replica has had a slot free and got nothing; None: it has none.
    """
    overdue_s = poll.missed(quiet_s, None).overdue_s
    return overdue_s is not None and age_s >= overdue_s


@cache
def is_suspect(attempt: int, max_attempts: int) -> bool:
    """Return True where a hop whose lease ran out may be what killed its workers."""
    return attempt >= poll.suspect_from(max_attempts)


@cache
def effect_key(hop: tuple[int, int], attempt: int, *, is_stable: bool) -> str:
    """Return the idempotency key of a hop's effect, shortened; one that is not stable is made anew each time."""
    run, seq = hop
    scope = str(seq) if is_stable else f"{seq}/{attempt}"
    return ids.idempotency_key(f"{run:032x}", scope, STEP_KEY)[:8]
