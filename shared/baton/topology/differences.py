"""How a broker differs from what is wanted, and what of it can be put right.

In: a `Wanted` and what the broker `Seen` to have. Out: differences, each with what to do about it.
Pure: `management` reads and writes.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from baton.broker.rabbitmq.names import AGENT_QUEUE_PREFIX, LISTEN_PREFIX, WORK
from baton.topology.wanted import QUORUM, TOPIC, Binding, Entity, Exchange, Policy, Queue, Wanted

OURS = "baton."
"""Begins the name of everything that belongs to Baton."""
_PLACEMENT = frozenset(
    {"x-queue-type", "x-queue-leader-locator", "x-quorum-initial-group-size", "x-quorum-target-group-size"}
)
"""Arguments that say where replicas live; they change nothing for a message."""
_LOSES = frozenset({"message-ttl", "expires"})
"""Keys of an operator policy that make messages or queues disappear."""
_NAMED = 3


class Kind(Enum):
    """What a difference is, and what `apply` does about it."""

    MISSING = "missing"
    """It is made."""
    DIFFERENT = "different"
    """It is changed."""
    REFUSED = "refused"
    """It exists as something else and cannot be changed: nothing is applied."""
    OVERRULED = "overruled"
    """Something else on the broker defeats it; a person has to decide."""
    EXTRA = "extra"
    """Nobody wants it; it stays, for it may hold messages."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it should be."""

    kind: Kind
    entity: Entity
    told: str = ""
    """What was seen, what is needed, what to do."""

    def __str__(self) -> str:
        return f"{self.entity}: {self.told}" if self.told else str(self.entity)


@dataclass(frozen=True, slots=True)
class SeenExchange:
    """An exchange of the broker."""

    kind: str = TOPIC
    is_durable: bool = True
    is_auto_delete: bool = False
    is_internal: bool = False
    arguments: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SeenQueue:
    """A queue of the broker."""

    kind: str = QUORUM
    arguments: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a vhost has."""

    exchanges: Mapping[str, SeenExchange] = field(default_factory=dict)
    queues: Mapping[str, SeenQueue] = field(default_factory=dict)
    bindings: frozenset[Binding] = frozenset()
    policies: tuple[Policy, ...] = ()
    operator_policies: tuple[Policy, ...] = ()


def differences(wanted: Wanted, seen: Seen) -> list[Difference]:
    """Return every difference, in the order in which those that can be are put right."""
    return [
        *_policy(wanted, seen),
        *_exchanges(wanted, seen),
        *_queues(wanted, seen),
        *_bindings(wanted, seen),
        *_overruled(wanted, seen),
    ]


def _policy(wanted: Wanted, seen: Seen) -> Iterator[Difference]:
    mine = wanted.policy
    found = next((one for one in seen.policies if one.name == mine.name), None)
    if found is None:
        yield Difference(Kind.MISSING, mine)
    elif changes := _policy_changes(found, mine):
        yield Difference(Kind.DIFFERENT, mine, ", ".join(changes))


def _policy_changes(found: Policy, mine: Policy) -> list[str]:
    pairs = {
        "pattern": (found.pattern, mine.pattern),
        "apply-to": (found.apply_to, mine.apply_to),
        "priority": (found.priority, mine.priority),
    } | {
        key: (found.definition.get(key), mine.definition.get(key))
        for key in sorted({*found.definition, *mine.definition})
    }
    return [
        f"{key} {'not set' if was is None else repr(was)}, should be {'not set' if needed is None else repr(needed)}"
        for key, (was, needed) in pairs.items()
        if was != needed
    ]


def _exchanges(wanted: Wanted, seen: Seen) -> Iterator[Difference]:
    for exchange in wanted.exchanges:
        found = seen.exchanges.get(exchange.name)
        if found is None:
            yield Difference(Kind.MISSING, exchange)
        elif wrong := _wrong_exchange(found):
            advice = "an exchange cannot be changed: delete it while nobody publishes, and apply again"
            yield Difference(Kind.REFUSED, exchange, f"exists {wrong}; {advice}")
    known = {exchange.name for exchange in wanted.exchanges}
    for name in sorted(seen.exchanges):
        if name.startswith(OURS) and name not in known:
            yield Difference(Kind.EXTRA, Exchange(name), "nothing publishes to it; delete it")


def _wrong_exchange(found: SeenExchange) -> str:
    wrong = [] if found.kind == TOPIC else [f"as a {found.kind} exchange; a {TOPIC} exchange is needed"]
    wrong += [] if found.is_durable else ["not durable"]
    wrong += ["as auto-delete"] if found.is_auto_delete else []
    wrong += ["as internal"] if found.is_internal else []
    wrong += [f"with {_listed(found.arguments)}"] if found.arguments else []
    return ", ".join(wrong)


def _queues(wanted: Wanted, seen: Seen) -> Iterator[Difference]:
    for queue in wanted.queues:
        found = seen.queues.get(queue.name)
        if found is None:
            yield Difference(Kind.MISSING, queue)
        elif wrong := _wrong_queue(found):
            yield Difference(Kind.REFUSED, queue, f"exists {wrong}; {_advice(queue.name)}")
    known = {queue.name for queue in wanted.queues}
    for name in sorted(seen.queues):
        if name.startswith(OURS) and not name.startswith(LISTEN_PREFIX) and name not in known:
            is_agents = name.startswith(AGENT_QUEUE_PREFIX)
            why = "no agent has this name: let it drain, then delete it" if is_agents else "nothing reads it; delete it"
            yield Difference(Kind.EXTRA, Queue(name), why)


def _wrong_queue(found: SeenQueue) -> str:
    wrong = [] if found.kind == QUORUM else [f"as a {found.kind} queue; a {QUORUM} queue is needed"]
    arguments = {key: value for key, value in found.arguments.items() if key not in _PLACEMENT}
    wrong += [f"with {_listed(arguments)}, which a policy cannot undo"] if arguments else []
    return ", ".join(wrong)


def _advice(name: str) -> str:
    if name.startswith(AGENT_QUEUE_PREFIX):
        return "a queue cannot be changed: delete it and apply again; the journal has every hop that is in it"
    return "a queue cannot be changed: stop its publishers, let it drain, delete it and apply again"


def _bindings(wanted: Wanted, seen: Seen) -> Iterator[Difference]:
    for binding in wanted.bindings:
        if binding not in seen.bindings:
            yield Difference(Kind.MISSING, binding)
    known = {queue.name for queue in wanted.queues}
    for binding in sorted(seen.bindings - set(wanted.bindings), key=str):
        if binding.exchange == WORK:
            yield Difference(
                Kind.EXTRA, binding, "a handoff to an agent that is not deployed may seem to arrive; delete it"
            )
        elif binding.kind == "queue" and binding.target in known:
            yield Difference(Kind.EXTRA, binding, "it brings messages that do not belong there; delete it")


def _overruled(wanted: Wanted, seen: Seen) -> Iterator[Difference]:
    mine = wanted.policy
    covered = [queue.name for queue in wanted.queues if covers(mine, queue.name, "queues")]
    for other in seen.policies:
        both = [name for name in covered if covers(other, name, "queues")]
        if other.name != mine.name and other.priority >= mine.priority and both:
            yield Difference(
                Kind.OVERRULED,
                mine,
                f"policy {other.name!r} with priority {other.priority} covers {_some(both)} too, and one policy alone "
                f"counts: give it a priority below {mine.priority}, or another pattern than {other.pattern!r}",
            )
    for operator in seen.operator_policies:
        both = [name for name in covered if covers(operator, name, "queues")]
        if both and (taken := _taken(operator, mine)):
            yield Difference(
                Kind.OVERRULED,
                mine,
                f"operator policy {operator.name!r} sets {_listed(taken)} on {_some(both)}; "
                "ask whoever runs the broker to exempt them",
            )
    yield from _alternates(seen)


def _taken(operator: Policy, mine: Policy) -> dict[str, object]:
    """Return what an operator policy takes away: of two numbers the lower counts."""
    return {
        key: value
        for key, value in operator.definition.items()
        if key in _LOSES
        or (isinstance(value, int) and isinstance(own := mine.definition.get(key), int) and value < own)
    }


def _alternates(seen: Seen) -> Iterator[Difference]:
    """Yield the policy that takes what is published for agents that are not deployed."""
    rivals = sorted((one for one in seen.policies if covers(one, WORK, "exchanges")), key=lambda one: -one.priority)
    if rivals and "alternate-exchange" in rivals[0].definition:
        yield Difference(
            Kind.OVERRULED,
            Exchange(WORK),
            f"policy {rivals[0].name!r} gives it an alternate exchange, so that a handoff to an agent that is not "
            f"deployed seems to arrive; exempt {WORK} from it",
        )


def covers(policy: Policy, name: str, what: str) -> bool:
    """True where a policy is meant for `name`, one of the `queues` (quorum queues) or `exchanges`.

    A pattern that Python cannot read (the broker's are PCRE) counts as one that matches: better a
    warning too many.
    """
    meant = {"all", what, "quorum_queues"} if what == "queues" else {"all", what}
    if policy.apply_to not in meant:
        return False
    try:
        return re.search(policy.pattern, name) is not None
    except re.error:
        return True


def _listed(values: Mapping[str, object]) -> str:
    return ", ".join(f"{key} {value!r}" for key, value in sorted(values.items()))


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
