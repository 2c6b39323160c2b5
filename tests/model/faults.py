"""What may go wrong, each time at the cost of one fault.

In: a world and a state. Out: each fault that may strike now, with its name and the state after it.
A commit that never took place changes nothing, and so is no fault here.
"""

from collections.abc import Iterator

from tests.model.moves import Step, accept, claim, client_moves, done, ending
from tests.model.polling import claimable, polled
from tests.model.state import IDLE, HopName, State, Worker
from tests.model.world import World

WORKING = ("claimed", "acted", "ready", "looked", "quitting")


def faults(world: World, state: State) -> Iterator[Step]:
    """Yield every fault that may strike."""
    previous = None
    for number, worker in enumerate(state.workers):
        if worker == previous:
            continue
        previous = worker
        if worker != IDLE:
            yield from _worker_faults(world, state, number, worker)
            continue
        for name in polled(world, state):
            yield "poll, COMMIT reply lost", _claim_unknown(world, state, number, name)
    yield from _broker_faults(world, state)
    yield from _client_faults(world, state)


def _worker_faults(world: World, state: State, number: int, worker: Worker) -> Iterator[Step]:
    returned = _returned(state, worker)
    yield "crash", returned.with_worker(number, IDLE)
    if worker.delivery:
        after = IDLE if worker.phase == "acking" else worker._replace(delivery=0)
        if worker.phase not in ("asked", "adding to open", "adding to ended"):
            yield "connection lost", returned.with_worker(number, after)
    if worker.holds and not worker.is_late:
        yield "lease runs out", state.with_worker(number, worker._replace(is_late=True))
    if worker.phase == "publishing" and world.scenario.publishes:
        yield "publish lost", state.with_worker(number, done(worker, *worker.publishes[1:]))
    yield from _lost_replies(world, state, number, worker)


def _returned(state: State, worker: Worker) -> State:
    """Return the state in which the broker has a worker's delivery again."""
    if worker.delivery == 1:
        return state.publish(worker.hop)
    if worker.delivery:
        return state.send(worker.delivery - 2)
    return state


def _lost_replies(world: World, state: State, number: int, worker: Worker) -> Iterator[Step]:
    """Let a worker's transaction take effect without it being told."""
    if worker.phase == "given" and not worker.holds and claimable(state, worker.hop):
        if not world.rules.has_claim_ids:
            hop = state.journal.runs[worker.hop[0]].hops[worker.hop[1]]
            yield (
                "claim fails unseen",
                state.with_worker(number, worker._replace(phase="unsure", attempt=hop.attempt + 1)),
            )
        yield "claim, COMMIT reply lost", _claim_unknown(world, state, number, worker.hop)
    elif worker.phase == "asked":
        after = accept(world, state, number, worker)
        yield "accept, COMMIT reply lost", state._replace(journal=after.journal)
    elif worker.phase == "acted":
        journal = world.record(state.journal, worker.hop, holds=worker.holds, again=worker.knows_record)
        if journal is not None and journal != state.journal:
            known = worker._replace(knows_record=True)
            yield "record, COMMIT reply lost", state._replace(journal=journal).with_worker(number, known)
    elif worker.phase in ("ready", "quitting"):
        journal, _ = world.finish(state.journal, ending(world, state, worker))
        if journal != state.journal:
            yield "finish, COMMIT reply lost", state._replace(journal=journal)


def _claim_unknown(world: World, state: State, number: int, name: HopName) -> State:
    """Return the state after a claim whose worker does not know of it; the row holds its claim id."""
    before = state.workers[number]
    after = claim(world, state, number, name)
    holds = any(w.holds and w.hop == name for w in after.workers)
    others = tuple(
        w._replace(holds=False, is_late=False) if holds and w.hop == name and w.holds else w for w in state.workers
    )
    unknown = Worker("given", name, delivery=before.delivery, holds=holds)
    return after._replace(workers=others).with_worker(number, unknown)


def _broker_faults(world: World, state: State) -> Iterator[Step]:
    for place, name in enumerate(state.queue):
        if place == 0 or state.queue[place - 1] != name:
            yield "message doubled", state.publish(name)
    for request in sorted(set(state.inbox)):
        yield "request doubled", state.send(request)
    held = any(worker.delivery for worker in state.workers)
    if state.queue or state.inbox or held:
        workers = sorted(_emptied(worker) for worker in state.workers)
        yield "broker wiped", state._replace(queue=(), inbox=(), workers=tuple(workers))


def _emptied(worker: Worker) -> Worker:
    """Return a worker whose delivery the broker knows no more."""
    if worker.phase == "acking":
        return IDLE
    return worker._replace(delivery=0) if worker.delivery == 1 else worker


def _client_faults(world: World, state: State) -> Iterator[Step]:
    """Let a client's transaction take effect without it being told; what it would publish is lost with it."""
    journal = state.journal
    if not world.scenario.is_by_broker and world.scenario.publishes:
        request = next((key for key, took in enumerate(journal.taken) if not took), None)
        if request is not None:
            yield "accept, COMMIT reply lost", state._replace(journal=world.take_request(journal, request).journal)
    for number, client in enumerate(world.scenario.clients):
        what, run = client.split()
        if state.clients[number] != "done" and int(run) < len(journal.runs):
            for step, after in client_moves(world, state, number, (what, int(run))):
                if after.journal != journal:
                    yield f"{step}, COMMIT reply lost", state._replace(journal=after.journal)
