"""What may happen next without a fault: one atomic step of a worker, a client or the router.

In: a world and a state. Out: each step that may be taken, with its name and the state after it. Time is
free: a retry is due and a dead worker's lease runs out when somebody looks late enough, and a message
may come earlier.
"""

from collections.abc import Iterator

from tests.model import conversation, transactions
from tests.model.decisions import effect_key
from tests.model.polling import claimable, may_come_by_message, polled
from tests.model.state import IDLE, HopName, Journal, State, Worker
from tests.model.transactions import Ending
from tests.model.world import World

Step = tuple[str, State]


def moves(world: World, state: State) -> Iterator[Step]:
    """Yield every step that may be taken without a fault."""
    previous = None
    for number, worker in enumerate(state.workers):
        if worker != previous:
            yield from _worker_moves(world, state, number, worker)
        previous = worker
    yield from _client_moves(world, state)
    yield from _router_moves(world, state)


def done(worker: Worker, *publishes: HopName) -> Worker:
    """Return a worker that has written its end: it publishes, then acks, then is free."""
    if publishes:
        return Worker("publishing", worker.hop, delivery=worker.delivery, publishes=publishes)
    if worker.delivery:
        return Worker("acking", worker.hop, delivery=worker.delivery)
    return IDLE


def claimed(world: World, state: State, number: int, name: HopName, *, attempt: int, is_adopted: bool = False) -> State:
    """Return the state in which a worker begins to work on a hop that its claim wrote.

    The claim's new token is nobody else's; one that is only adopted may be.
    """
    worker, others = state.workers[number], state.workers
    if not is_adopted:
        others = tuple(w._replace(holds=False, is_late=False) if w.hop == name and w.holds else w for w in others)
    hop = state.journal.runs[name[0]].hops[name[1]]
    works = worker._replace(
        phase="claimed" if world.has_step(name, hop) and not hop.records else "ready",
        hop=name,
        attempt=attempt,
        holds=True,
        is_late=False,
        knows_record=hop.records > 0,
    )
    return state._replace(workers=others).with_worker(number, works)


def died(state: State) -> State:
    """Return the state after a hop has killed its process, and all others in it; the broker delivers again."""
    unacked = [worker.hop for worker in state.workers if worker.delivery == 1]
    return state._replace(workers=(IDLE,) * len(state.workers)).publish(*unacked)


def ending(world: World, state: State, worker: Worker) -> Ending:
    """Return the finish that a worker wants to write."""
    act = "hand back"
    if worker.phase != "quitting":
        act = world.act(worker.hop, state.journal.runs[worker.hop[0]].hops[worker.hop[1]], worker.attempt)
    sees = tuple(run for run, _ in worker.publishes) if worker.phase == "looked" else None
    return Ending(worker.hop, act, worker.attempt, worker.holds, sees)


def _worker_moves(world: World, state: State, number: int, worker: Worker) -> Iterator[Step]:
    if worker.phase == "idle":
        yield from _taking(world, state, number)
    elif worker.phase == "given":
        yield from _claiming(world, state, number, worker)
    elif worker.phase == "unsure":
        yield from _adopting(world, state, number, worker)
    elif worker.phase in ("asked", "adding to open", "adding to ended"):
        yield from _accepting(world, state, number, worker)
    elif worker.phase == "claimed":
        yield "effect", effect(world, state, number, worker)
    elif worker.phase == "acted":
        yield "record", recorded(world, state, number, worker)
    elif worker.phase in ("ready", "looked", "quitting"):
        yield from _finishing(world, state, number, worker)
    elif worker.phase == "publishing":
        first, *rest = worker.publishes
        after = state.with_worker(number, done(worker, *rest))
        yield "publish", after.publish(first) if world.scenario.publishes else after
    else:
        yield "ack", state.with_worker(number, IDLE)
    if world.scenario.acks_early and worker.delivery and worker.phase in ("claimed", "acted", "ready"):
        yield "ack early", state.with_worker(number, worker._replace(delivery=0))


def _taking(world: World, state: State, number: int) -> Iterator[Step]:
    for place, name in enumerate(state.queue):
        if place == 0 or state.queue[place - 1] != name:
            queue = state.queue[:place] + state.queue[place + 1 :]
            given = Worker("given", name, delivery=int(world.rules.acks_at_end))
            yield "deliver", state._replace(queue=queue).with_worker(number, given)
    for place, request in enumerate(state.inbox):
        if place == 0 or state.inbox[place - 1] != request:
            inbox = state.inbox[:place] + state.inbox[place + 1 :]
            asked = Worker("asked", delivery=2 + request)
            yield "deliver request", state._replace(inbox=inbox).with_worker(number, asked)
    for name in polled(world, state):
        yield "poll", claim(world, state, number, name)


def claim(world: World, state: State, number: int, name: HopName) -> State:
    """Return the state after a worker's claim of a claimable hop."""
    journal, attempt = world.claim(state.journal, name)
    after = state._replace(journal=journal)
    if not attempt:
        return after.with_worker(number, done(state.workers[number]))
    return claimed(world, after, number, name, attempt=attempt)


def _claiming(world: World, state: State, number: int, worker: Worker) -> Iterator[Step]:
    run = state.journal.runs[worker.hop[0]]
    hop = run.hops[worker.hop[1]]
    if worker.holds and hop.status == "running":  # the row holds this claim's id
        yield "claim again", claimed(world, state, number, worker.hop, attempt=hop.attempt)
        return
    can = claimable(state, worker.hop) and may_come_by_message(world, hop)
    if can:
        yield "claim", claim(world, state, number, worker.hop)
    if not can or hop.awaits_poll or hop.status == "running":  # it may not be due yet
        yield "claim in vain", state.with_worker(number, done(worker))


def _adopting(world: World, state: State, number: int, worker: Worker) -> Iterator[Step]:
    """Take the hop for one's own by its token, as if no other claim could have written that."""
    hop = state.journal.runs[worker.hop[0]].hops[worker.hop[1]]
    if hop.status != "running" or hop.attempt != worker.attempt:
        yield "claim again", state.with_worker(number, worker._replace(phase="given", holds=False, attempt=0))
        return
    yield "adopt", claimed(world, state, number, worker.hop, attempt=hop.attempt, is_adopted=True)


def _accepting(world: World, state: State, number: int, worker: Worker) -> Iterator[Step]:
    request = worker.delivery - 2
    key = world.scenario.keys[request]
    journal = state.journal
    if worker.phase != "asked":
        added = transactions.add_address(journal, request, key, sees_end=worker.phase == "adding to ended")
        yield "add address", state._replace(journal=added).with_worker(number, done(worker))
    elif not world.rules.locks_for_address and transactions.is_known(world.rules, journal, key):
        saw = "ended" if transactions.is_over(journal, key) else "open"
        yield "look", state.with_worker(number, worker._replace(phase=f"adding to {saw}"))
    else:
        yield "accept", accept(world, state, number, worker)


def accept(world: World, state: State, number: int, worker: Worker) -> State:
    """Return the state after the router has accepted a request."""
    taken = world.take_request(state.journal, worker.delivery - 2)
    after = state._replace(journal=taken.journal)
    if taken.claimed is not None:
        return claimed(world, after, number, taken.claimed, attempt=1)
    return after.with_worker(number, done(worker, *taken.published))


def effect(world: World, state: State, number: int, worker: Worker) -> State:
    """Return the state after the bank did what a hop's step asks of it; the same key does nothing twice."""
    hop = state.journal.runs[worker.hop[0]].hops[worker.hop[1]]
    key = effect_key(worker.hop, worker.attempt, is_stable=world.rules.has_stable_keys)
    keys = tuple(sorted({*hop.keys, key}))
    journal = state.journal if keys == hop.keys else state.journal.with_hop(worker.hop, keys=keys)
    return state._replace(journal=journal).with_worker(number, worker._replace(phase="acted"))


def recorded(world: World, state: State, number: int, worker: Worker) -> State:
    """Return the state after a worker recorded its step, or learnt that it may not."""
    journal = world.record(state.journal, worker.hop, holds=worker.holds, again=worker.knows_record)
    if journal is None:
        return state.with_worker(number, worker._replace(phase="quitting"))
    return state._replace(journal=journal).with_worker(number, worker._replace(phase="ready", knows_record=True))


def _finishing(world: World, state: State, number: int, worker: Worker) -> Iterator[Step]:
    if not world.rules.locks_for_finish and worker.phase == "ready":
        seen = tuple((run, 0) for run in conversation.blocked_runs(state.journal))
        yield "look", state.with_worker(number, worker._replace(phase="looked", publishes=seen))
        return
    wanted = ending(world, state, worker)
    if wanted.act == "kill":
        yield "die", died(state)
        return
    journal, published = world.finish(state.journal, wanted)
    yield "finish", state._replace(journal=journal).with_worker(number, done(worker, *published))


def _client_moves(world: World, state: State) -> Iterator[Step]:
    journal = state.journal
    if not world.scenario.is_by_broker:
        request = next((key for key, took in enumerate(journal.taken) if not took), None)
        if request is not None:
            taken = world.take_request(journal, request)
            yield "accept", published(world, state._replace(journal=taken.journal), taken.published)
    for number, client in enumerate(world.scenario.clients):
        what, run = client.split()
        if state.clients[number] != "done" and int(run) < len(journal.runs):
            yield from client_moves(world, state, number, (what, int(run)))


def client_moves(world: World, state: State, number: int, client: tuple[str, int]) -> Iterator[Step]:
    """Yield what one client may do: look first, then write under the guards."""
    what, run = client
    saw, journal = state.clients[number], state.journal
    if what == "cancel":
        yield from _cancels(world, state, number, run)
    elif saw == "":
        if any(hop.wait == "waiting" for hop in journal.runs[run].hops):
            yield f"see wait ({what})", state.with_client(number, "saw")
    else:
        after, hops = world.decide(journal, run, "answered" if what == "reply" else "expired")
        yield what, published(world, state._replace(journal=after).with_client(number, "done"), hops)


def _cancels(world: World, state: State, number: int, run: int) -> Iterator[Step]:
    saw, journal = state.clients[number], state.journal
    going = [(run, seq) for seq, hop in enumerate(journal.runs[run].hops) if hop.status == "running"]
    views = {bool(going), any(state.leased(name) for name in going)}  # a dead worker's lease may run yet
    if world.scenario.cancels_stale:
        if not saw:
            for is_worked_on in sorted(views):
                yield "see run", state.with_client(number, "saw running" if is_worked_on else "saw open")
            return
        after, hops = world.cancel_stale(journal, run, saw_running=saw == "saw running")
        yield "cancel", published(world, state._replace(journal=after).with_client(number, "done"), hops)
        return
    for is_worked_on in sorted(views):
        after, hops = world.cancel(journal, run, is_worked_on=is_worked_on)
        yield "cancel", published(world, state._replace(journal=after).with_client(number, "done"), hops)


def published(world: World, state: State, hops: tuple[HopName, ...]) -> State:
    """Return the state after somebody who is no worker has published what became pending."""
    return state.publish(*hops) if world.scenario.publishes else state


def _router_moves(world: World, state: State) -> Iterator[Step]:
    journal = state.journal
    for number, run in enumerate(journal.runs):
        leased = any(state.leased((number, seq)) for seq in range(len(run.hops)))
        if run.stop and run.status == "open" and not leased:
            after, hops = world.cancel(journal, number, is_worked_on=False)
            yield "sweep", published(world, state._replace(journal=after), hops)
    if world.scenario.has_net:
        after, hops = transactions.pass_on_by_net(journal)
        if after != journal:
            yield "pass on", published(world, state._replace(journal=after), hops)
    for request, (address, run_number) in enumerate(journal.addresses):
        if address == "due":
            yield "send result", state._replace(journal=_sent(journal, request, run_number))
        elif address == "unknown" and not _is_under_way(state, request):
            yield "request again", state.send(request)


def _sent(journal: Journal, request: int, run: int) -> Journal:
    addresses = journal.addresses
    return journal._replace(addresses=(*addresses[:request], ("sent", run), *addresses[request + 1 :]))


def _is_under_way(state: State, request: int) -> bool:
    return request in state.inbox or any(worker.delivery == 2 + request for worker in state.workers)
