"""What must never be, and what must always stay within reach: the same for every scenario and every rule.

In: a state or its journal. Out: what is wrong with it, and whether it is a good end: over and quiet.
"""

from collections.abc import Iterator

from tests.model.rules import Scenario
from tests.model.state import EACH, IDLE, NOBODY, Journal, Run, State

MOVING = ("pending", "running")


def wrongs(scenario: Scenario, journal: Journal) -> tuple[str, ...]:
    """Return what is wrong with a journal: each is one broken promise, in a few words."""
    found = [wrong for run in journal.runs for wrong in _wrongs_of(run)]
    found += _order(journal)
    if scenario.shares_process:
        runs = zip(scenario.scripts, journal.runs, strict=False)
        found += ["failed by another's deaths" for does, run in runs if run.status == "failed" and "kill" not in does]
    if not scenario.cancels_stale:  # which may leave the rows of hops as an old snapshot showed them
        found += [wrong for run in journal.runs for wrong in _torn(run)]
    if any(len(took) > 1 for took in journal.taken):
        found.append("request taken twice")
    return tuple(dict.fromkeys(found))


def _wrongs_of(run: Run) -> Iterator[str]:
    if run.ends > 1:
        yield "two terminal states"
    for hop in run.hops:
        if hop.completed > 1:
            yield "hop completed twice"
        if hop.said > 1:
            yield "effect twice"
        if len(hop.keys) > 1:
            yield "keyed effect twice"
        if hop.records > 1:
            yield "step recorded twice"
        if hop.decided > 1:
            yield "of reply, expiry and cancel two took effect"


def _order(journal: Journal) -> Iterator[str]:
    """Find runs that begin out of order, move without having the conversation, or keep it for nothing."""
    for number, run in enumerate(journal.runs):
        if run.status != "open":
            continue
        if journal.holder != EACH and any(later.began for later in journal.runs[number + 1 :]) and not run.began:
            yield "run begun out of order"
        keeps = any(hop.status in MOVING or (hop.wait == "waiting" and hop.kind == "user") for hop in run.hops)
        if keeps and journal.holder not in (number, EACH):
            yield "two runs at a time"
        if not keeps and journal.holder == number:
            yield "conversation kept while a person is waited for"


def _torn(run: Run) -> Iterator[str]:
    """Find an open run that has not the one hop that goes on, and a cancel that was accepted and ignored."""
    going = [hop for hop in run.hops if hop.status not in ("done", "failed")]
    if run.status != "open":
        if going:
            yield "hop goes on in a run that ended"
        return
    if len(going) != 1 or going[0] is not run.hops[-1]:
        yield "run without the one hop that goes on"
    elif run.stop and going[0].status != "running":
        yield "accepted cancel ignored"


def is_quiet(state: State) -> bool:
    """Return True where nothing is under way: no message, no worker with a hop."""
    return not state.queue and not state.inbox and all(worker == IDLE for worker in state.workers)


def is_over(journal: Journal) -> bool:
    """Return True where all runs have ended, all results were sent, and nobody has the conversation."""
    runs_ended = all(journal.taken) and all(run.status != "open" for run in journal.runs)
    results_sent = all(address == "sent" for address, _ in journal.addresses)
    return runs_ended and results_sent and journal.holder in (NOBODY, EACH)
