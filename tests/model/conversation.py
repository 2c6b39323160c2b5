"""Who has the conversation, and what the end of a wait does: parts of the transactions of `journal`.

In: a journal in which a run ended, released or wants the conversation. Out: the journal afterwards, and
the hops that became pending.
"""

from tests.model.decisions import after_wait
from tests.model.state import EACH, NOBODY, HopName, Journal, replaced

Written = tuple[Journal, tuple[HopName, ...]]
"""A journal, and what its writer should publish now."""


def pass_on(journal: Journal, run: int, among: tuple[int, ...] | None = None) -> Written:
    """Take the conversation from a run that ended or released it, and give it to the next in line."""
    if journal.holder != run:
        return journal, ()
    return give(journal._replace(holder=NOBODY), among)


def enter(journal: Journal, run: int) -> Written:
    """Let a new run begin if its conversation is free."""
    return _open(journal, run) if journal.holder == EACH else give(journal)


def give(journal: Journal, among: tuple[int, ...] | None = None) -> Written:
    """Give a free conversation to the first run that waits for it, and on while each ends at once.

    Args:
        journal: The journal.
        among: The runs that an old snapshot shows as blocked; None: look now.
    """
    published: tuple[HopName, ...] = ()
    while journal.holder == NOBODY:
        blocked = blocked_runs(journal) if among is None else among
        if not blocked:
            break
        run, among = blocked[0], None
        journal, hops = _open(journal._replace(holder=run), run)
        published += hops
        if journal.runs[run].status != "open":
            journal = journal._replace(holder=NOBODY)
    return journal, published


def blocked_runs(journal: Journal) -> tuple[int, ...]:
    """Return the open runs with a blocked hop, in the order of acceptance."""
    return tuple(
        number
        for number, run in enumerate(journal.runs)
        if run.status == "open" and any(hop.status == "blocked" for hop in run.hops)
    )


def go_on(journal: Journal, run: int) -> Written:
    """Carry out the end of a run's wait, or queue for the conversation where another run has it now."""
    last = (run, len(journal.runs[run].hops) - 1)
    if journal.holder not in (NOBODY, run):
        return journal.with_hop(last, status="blocked"), ()
    journal, published = _resume(journal._replace(holder=run), run)
    if journal.runs[run].status == "open":
        return journal, published
    journal, passed = pass_on(journal, run)
    return journal, published + passed


def end_run(journal: Journal, run: int, status: str) -> Journal:
    """Put a run into a terminal state; its result is due at every address it has."""
    ended = journal.with_run(run, status=status, ends=journal.runs[run].ends + 1)
    due = (("due", run) if address == ("kept", run) else address for address in ended.addresses)
    return ended._replace(addresses=tuple(due)) if ended.addresses else ended


def end_stopped(journal: Journal, run: int, *, passes_on: bool) -> Written:
    """End an open run as cancelled, with its open hop and wait."""
    hops = journal.runs[run].hops
    for seq, hop in enumerate(hops):
        if hop.status not in ("done", "failed"):
            hops = replaced(hops, seq, hop._replace(status="failed"))
        if hop.wait == "waiting":
            hops = replaced(hops, seq, hops[seq]._replace(wait="cancelled", decided=hop.decided + 1))
    journal = end_run(journal.with_run(run, hops=hops), run, "cancelled")
    return pass_on(journal, run) if passes_on else (journal, ())


def _open(journal: Journal, run: int) -> Written:
    """Let the blocked hop of a holder go on: begin the run, or carry out the answer it waited for."""
    if journal.runs[run].hops[-1].wait in ("answered", "expired"):
        return _resume(journal, run)
    return journal.with_hop((run, 0), status="pending").with_run(run, began=True), ((run, 0),)


def _resume(journal: Journal, run: int) -> Written:
    name = (run, len(journal.runs[run].hops) - 1)
    hop = journal.runs[run].hops[-1]
    end = after_wait(hop.kind, str(hop.wait)).end
    if end is None:
        return journal.with_hop(name, status="pending", awaits_poll=False), (name,)
    return end_run(journal.with_hop(name, status="done" if end == "completed" else "failed"), run, end), ()
