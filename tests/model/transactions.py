"""The journal's transactions, one atomic step each: what is locked is locked for all of it.

In: a journal and what a worker, client or the router wants. Out: the journal afterwards, and what
follows for the writer. Restated from design §5; the decisions in them are those of `decisions`.
"""

from typing import NamedTuple

from tests.model import conversation
from tests.model.conversation import Written
from tests.model.decisions import Verdict, verdict
from tests.model.rules import Rules, Scenario
from tests.model.state import NOBODY, Hop, HopName, Journal, Run, replaced

UNKNOWN = ("unknown", NOBODY)
"""An address that was not added yet."""


class Taken(NamedTuple):
    """What became of a request."""

    journal: Journal
    published: tuple[HopName, ...] = ()
    claimed: HopName | None = None
    """Hop 0 of a run that the router inserted already claimed."""


def claim(rules: Rules, scenario: Scenario, journal: Journal, name: HopName) -> tuple[Journal, int]:
    """Claim a hop whose time has come; the attempt is 0 where its run ends instead."""
    number, seq = name
    run = journal.runs[number]
    hop = run.hops[seq]
    if run.stop:
        return conversation.end_stopped(journal, number, passes_on=rules.passes_on_at_cancel)[0], 0
    if hop.attempt >= scenario.max_attempts:
        ended = conversation.end_run(journal.with_hop(name, status="failed"), number, "failed")
        return conversation.pass_on(ended, number)[0], 0
    return journal.with_hop(name, status="running", attempt=hop.attempt + 1, awaits_poll=False), hop.attempt + 1


def record(rules: Rules, journal: Journal, name: HopName, *, holds: bool, again: bool) -> Journal | None:
    """Record a step; None: the lease is lost. `again` is true where this attempt has written it before."""
    run = journal.runs[name[0]]
    hop = run.hops[name[1]]
    is_mine = holds and hop.status == "running"
    if (rules.fences and not is_mine) or (rules.guards_run and run.status != "open") or run.stop:
        return None
    return journal if again else journal.with_hop(name, records=hop.records + 1)


class Ending(NamedTuple):
    """The end of an attempt, as a worker wants to write it."""

    name: HopName
    act: str
    attempt: int
    holds: bool
    sees_blocked: tuple[int, ...] | None = None
    """What an old snapshot shows; None: look after locking."""


def finish(rules: Rules, scenario: Scenario, journal: Journal, ending: Ending) -> Written:
    """Write the end of an attempt and what follows; done twice, report what the first did."""
    number, seq = ending.name
    run = journal.runs[number]
    hop = run.hops[seq]
    does = verdict(ending.act, ending.attempt, scenario.max_attempts)
    if rules.fences and not ending.holds:
        if not rules.guards_batch and does.hop == "done":
            return journal.with_hop(ending.name, said=hop.said + 1), ()
        return journal, ()
    if ending.holds and hop.status != "running":
        return journal, _known(journal, ending.name, does)
    if rules.guards_run and run.status != "open":
        return journal, ()
    if run.stop and does.end is None and rules.finish_obeys_stop:
        return conversation.end_stopped(journal, number, passes_on=rules.passes_on_at_cancel)
    is_over = does.hop in ("done", "failed")
    closed = journal.with_hop(
        ending.name,
        status=does.hop,
        attempt=hop.attempt if does.is_attempt else hop.attempt - 1,
        awaits_poll=does.is_retry,
        said=hop.said + (does.hop == "done"),
        completed=hop.completed + is_over,
    )
    return _follow(closed, ending, does)


def _known(journal: Journal, name: HopName, does: Verdict) -> tuple[HopName, ...]:
    """Return what this very finish made pending before its reply was lost; the token says that it was mine."""
    number, seq = name
    hops = journal.runs[number].hops
    is_same = hops[seq].status == does.hop and does.next is not None
    return ((number, seq + 1),) if is_same and hops[seq + 1].status == "pending" else ()


def _follow(journal: Journal, ending: Ending, does: Verdict) -> Written:
    number, seq = ending.name
    hops = journal.runs[number].hops
    published: tuple[HopName, ...] = ()
    if does.next is not None and seq + 1 == len(hops):
        following = Hop(does.next, wait="waiting" if does.wait else None, kind=does.wait)
        journal = journal.with_run(number, hops=(*hops, following))
        published = ((number, seq + 1),) if does.next == "pending" else ()
    elif does.wait:
        journal = journal.with_hop(ending.name, wait="waiting", kind=does.wait)
    if does.end is not None:
        journal = conversation.end_run(journal, number, does.end)
    if does.end is not None or does.releases:
        journal, passed = conversation.pass_on(journal, number, ending.sees_blocked)
        published += passed
    return journal, published


def decide(rules: Rules, journal: Journal, run: int, how: str) -> Written:
    """End the wait of a run as `answered` or `expired`: the first to do so counts."""
    waits = [seq for seq, hop in enumerate(journal.runs[run].hops) if hop.wait]
    hop = journal.runs[run].hops[waits[-1]]
    if rules.guards_waits and hop.wait != "waiting":
        return journal, ()
    decided = journal.with_hop((run, waits[-1]), wait=how, decided=hop.decided + 1)
    return conversation.go_on(decided, run)


def cancel(rules: Rules, journal: Journal, run: int, *, is_worked_on: bool) -> Written:
    """End a run that stands still; ask one that an agent works on to end at its next write."""
    if journal.runs[run].status != "open":
        return journal, ()
    if is_worked_on:
        return journal.with_run(run, stop=True), ()
    return conversation.end_stopped(journal, run, passes_on=rules.passes_on_at_cancel)


def cancel_stale(rules: Rules, journal: Journal, run: int, *, saw_running: bool) -> Written:
    """Cancel on what an old snapshot showed: the hops are as it saw them, only the run's own guard is fresh."""
    if journal.runs[run].status != "open":
        return journal, ()
    if saw_running:
        return journal.with_run(run, stop=True), ()
    ended = conversation.end_run(journal, run, "cancelled")
    return conversation.pass_on(ended, run) if rules.passes_on_at_cancel else (ended, ())


def take_request(rules: Rules, scenario: Scenario, journal: Journal, request: int) -> Taken:
    """Accept a request: as a run, as the reply that its conversation waits for, or not again."""
    key = scenario.keys[request]
    if is_known(rules, journal, key):
        return Taken(add_address(journal, request, key, sees_end=is_over(journal, key)))
    waiting = [number for number, run in enumerate(journal.runs) if _waits_for_user(run)]
    if waiting:
        run = waiting[0]
        written, published = decide(rules, _remembered(journal, key, "reply", run), run, "answered")
        return Taken(add_address(written, request, key, sees_end=is_over(written, key)), published)
    run = len(journal.runs)
    opened = _remembered(journal, key, "run", run)._replace(runs=(*journal.runs, Run((Hop("blocked"),))))
    opened, published = conversation.enter(add_address(opened, request, key, sees_end=False), run)
    if scenario.is_by_broker and published == ((run, 0),):
        return Taken(opened.with_hop((run, 0), status="running", attempt=1), (), (run, 0))
    return Taken(opened, published)


def is_known(rules: Rules, journal: Journal, key: int) -> bool:
    """Return True where a message with this key was accepted before."""
    return any(rules.remembers_replies or took == "run" for took, _ in journal.taken[key])


def is_over(journal: Journal, key: int) -> bool:
    """Return True where the run that a key became, or answered, has ended."""
    return journal.runs[journal.taken[key][-1][1]].status != "open"


def add_address(journal: Journal, request: int, key: int, *, sees_end: bool) -> Journal:
    """Add where the result goes; one that comes after the end is answered at once."""
    if not journal.addresses or journal.addresses[request] != UNKNOWN:
        return journal
    address = ("due" if sees_end else "kept", journal.taken[key][-1][1])
    return journal._replace(addresses=replaced(journal.addresses, request, address))


def _waits_for_user(run: Run) -> bool:
    return run.status == "open" and any(hop.wait == "waiting" and hop.kind == "user" for hop in run.hops)


def _remembered(journal: Journal, key: int, took: str, run: int) -> Journal:
    return journal._replace(taken=replaced(journal.taken, key, (*journal.taken[key], (took, run))))


def pass_on_by_net(journal: Journal) -> Written:
    """Pass on a conversation whose holder is gone while a hop is blocked (the router's poll)."""
    if journal.holder != NOBODY and journal.runs[journal.holder].status == "open":
        return journal, ()
    return conversation.give(journal._replace(holder=NOBODY))
