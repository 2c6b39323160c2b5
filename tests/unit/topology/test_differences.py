"""How a broker differs from what is wanted; the broker is a model that obeys `apply`."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.topology.differences import Difference, Kind, Seen, SeenExchange, SeenQueue, covers, differences
from baton.topology.wanted import Binding, Exchange, Policy, Queue, wanted

WANTED = wanted(["cards", "disputes"], consumer_timeout_s=1800, version=(4, 0, 5))


def applied(seen: Seen, found: list[Difference]) -> Seen:
    """Return the broker after `apply`: it makes what is missing, and sets policies."""
    for one in found:
        if one.kind not in (Kind.MISSING, Kind.DIFFERENT):
            continue
        match one.entity:
            case Exchange(name):
                assert name not in seen.exchanges, "an exchange cannot be changed"
                seen = replace(seen, exchanges={**seen.exchanges, name: SeenExchange()})
            case Queue(name):
                assert name not in seen.queues, "a queue cannot be changed"
                queue = SeenQueue(arguments={"x-queue-type": "quorum"})
                seen = replace(seen, queues={**seen.queues, name: queue})
            case Binding(exchange, target) as binding:
                assert exchange in seen.exchanges, "it has to be there before it is bound"
                assert target in seen.queues, "it has to be there before it is bound"
                seen = replace(seen, bindings=seen.bindings | {binding})
            case Policy(name) as policy:
                others = tuple(other for other in seen.policies if other.name != name)
                seen = replace(seen, policies=(*others, policy))
    return seen


GOOD = applied(Seen(), differences(WANTED, Seen()))


def told(seen: Seen) -> list[tuple[Kind, str]]:
    return [(one.kind, str(one)) for one in differences(WANTED, seen)]


def with_queue(name: str, queue: SeenQueue) -> Seen:
    return replace(GOOD, queues={**GOOD.queues, name: queue})


def with_policy(policy: Policy) -> Seen:
    return replace(GOOD, policies=(*GOOD.policies, policy))


def test_an_empty_broker_lacks_everything_and_has_it_after_apply() -> None:
    found = differences(WANTED, Seen())

    assert {one.kind for one in found} == {Kind.MISSING}
    assert len(found) == WANTED.size
    assert differences(WANTED, GOOD) == []


def test_the_policy_is_made_before_the_queues_it_covers() -> None:
    first, *_ = differences(WANTED, Seen())

    assert isinstance(first.entity, Policy)


NAMES = [*(queue.name for queue in WANTED.queues), "baton.agent.old", "other", "baton.listen.1"]
EXCHANGES = [*(exchange.name for exchange in WANTED.exchanges), "amq.topic", "baton.old"]
POLICIES = st.builds(
    Policy,
    name=st.sampled_from(["baton", "all", "other"]),
    pattern=st.sampled_from([".*", "^baton", "^other$", WANTED.policy.pattern]),
    apply_to=st.sampled_from(["all", "queues", "quorum_queues", "classic_queues", "exchanges", "streams"]),
    priority=st.sampled_from([-1, 0, 50, 100]),
    definition=st.dictionaries(st.sampled_from(["delivery-limit", "max-length", "alternate-exchange"]), st.integers(0)),
)
QUEUES = st.builds(SeenQueue, st.sampled_from(["quorum", "classic"]), st.sampled_from([{}, {"x-message-ttl": 1}]))
BROKERS = st.builds(
    Seen,
    exchanges=st.dictionaries(
        st.sampled_from(EXCHANGES), st.builds(SeenExchange, st.sampled_from(["topic", "direct"]))
    ),
    queues=st.dictionaries(st.sampled_from(NAMES), QUEUES),
    bindings=st.frozensets(
        st.builds(Binding, st.sampled_from(EXCHANGES), st.sampled_from(NAMES), st.sampled_from(["#", "cards"]))
    ),
    policies=st.lists(POLICIES, unique_by=lambda policy: policy.name).map(tuple),
)


@given(BROKERS)
def test_what_apply_can_put_right_is_right_after_one_apply(seen: Seen) -> None:
    # A broker has no bindings of what it has not.
    bindings = {one for one in seen.bindings if one.exchange in seen.exchanges and one.target in seen.queues}
    seen = replace(seen, bindings=frozenset(bindings))
    before = differences(WANTED, seen)
    after = differences(WANTED, applied(seen, before))

    assert {one.kind for one in after} <= {Kind.REFUSED, Kind.OVERRULED, Kind.EXTRA}
    assert [one for one in before if one.kind in (Kind.REFUSED, Kind.EXTRA)] == [
        one for one in after if one.kind in (Kind.REFUSED, Kind.EXTRA)
    ]


def test_a_changed_policy_is_told_key_by_key() -> None:
    definition = {**WANTED.policy.definition, "delivery-limit": 5, "message-ttl": 60_000}
    del definition["overflow"]
    changed = replace(WANTED.policy, priority=0, definition=definition)

    (found,) = differences(WANTED, replace(GOOD, policies=(changed,)))

    assert (found.kind, found.entity) == (Kind.DIFFERENT, WANTED.policy)
    assert found.told == (
        "priority 0, should be 50, delivery-limit 5, should be 20, message-ttl 60000, should be not set, "
        "overflow not set, should be 'reject-publish'"
    )


@pytest.mark.parametrize(
    ("queue", "wrong"),
    [
        (SeenQueue("classic"), "as a classic queue; a quorum queue is needed"),
        (SeenQueue("stream"), "as a stream queue; a quorum queue is needed"),
        (SeenQueue("quorum", {"x-message-ttl": 9}), "with x-message-ttl 9, which a policy cannot undo"),
        (SeenQueue("quorum", {"x-single-active-consumer": True}), "with x-single-active-consumer True, which a"),
    ],
)
def test_a_queue_that_is_something_else_is_refused_with_advice(queue: SeenQueue, wrong: str) -> None:
    ((kind, agents),) = told(with_queue("baton.agent.cards", queue))
    ((_, requests),) = told(with_queue("baton.requests", queue))

    assert kind is Kind.REFUSED
    assert f"queue baton.agent.cards: exists {wrong}" in agents
    assert "the journal has every hop" in agents
    assert "let it drain" in requests


def test_where_replicas_live_is_the_operators_business() -> None:
    queue = SeenQueue("quorum", {"x-queue-type": "quorum", "x-quorum-initial-group-size": 3})

    assert told(with_queue("baton.agent.cards", queue)) == []


@pytest.mark.parametrize(
    ("exchange", "wrong"),
    [
        (SeenExchange("direct"), "as a direct exchange; a topic exchange is needed"),
        (SeenExchange(is_durable=False), "not durable"),
        (SeenExchange(is_auto_delete=True), "as auto-delete"),
        (SeenExchange(is_internal=True), "as internal"),
        (SeenExchange(arguments={"alternate-exchange": "lost"}), "with alternate-exchange 'lost'"),
    ],
)
def test_an_exchange_that_is_something_else_is_refused(exchange: SeenExchange, wrong: str) -> None:
    ((kind, text),) = told(replace(GOOD, exchanges={**GOOD.exchanges, "baton.work": exchange}))

    assert kind is Kind.REFUSED
    assert f"exchange baton.work: exists {wrong}; an exchange cannot be changed" in text


def test_what_nobody_wants_any_more_is_named_and_what_is_not_ours_is_not() -> None:
    seen = replace(
        GOOD,
        exchanges={**GOOD.exchanges, "baton.old": SeenExchange(), "shop": SeenExchange("direct")},
        queues={
            **GOOD.queues,
            "baton.agent.old": SeenQueue(),
            "baton.other": SeenQueue("classic"),
            "baton.listen.1": SeenQueue("classic"),
            "shop": SeenQueue("classic"),
        },
        bindings=GOOD.bindings | {Binding("baton.events", "baton.listen.1", "#"), Binding("shop", "shop", "#")},
    )

    assert told(seen) == [
        (Kind.EXTRA, "exchange baton.old: nothing publishes to it; delete it"),
        (Kind.EXTRA, "queue baton.agent.old: no agent has this name: let it drain, then delete it"),
        (Kind.EXTRA, "queue baton.other: nothing reads it; delete it"),
    ]


@pytest.mark.parametrize(
    ("binding", "text"),
    [
        (Binding("baton.work", "audit", "#"), "may seem to arrive"),
        (Binding("baton.work", "audit", "#", "exchange"), "may seem to arrive"),
        (Binding("baton.work", "baton.agent.cards", "disputes"), "may seem to arrive"),
        (Binding("shop", "baton.agent.cards", "#"), "do not belong there"),
    ],
)
def test_a_binding_that_misleads_messages_is_named(binding: Binding, text: str) -> None:
    ((kind, found),) = told(replace(GOOD, bindings=GOOD.bindings | {binding}))

    assert kind is Kind.EXTRA
    assert str(binding) in found
    assert text in found


@pytest.mark.parametrize(
    "binding",
    [Binding("baton.requests", "audit", "#"), Binding("baton.dead", "alerts", "#"), Binding("baton.events", "ui", "#")],
)
def test_looking_on_elsewhere_is_no_drift(binding: Binding) -> None:
    assert told(replace(GOOD, bindings=GOOD.bindings | {binding})) == []


@pytest.mark.parametrize("priority", [50, 51])
@pytest.mark.parametrize("apply_to", ["all", "queues", "quorum_queues"])
def test_a_policy_that_takes_the_place_of_ours_is_named(priority: int, apply_to: str) -> None:
    ((kind, text),) = told(with_policy(Policy("all", ".*", apply_to, priority, {"max-length": 5})))

    assert kind is Kind.OVERRULED
    assert f"policy 'all' with priority {priority} covers baton.requests, baton.agent.cards" in text
    assert "and 1 more" in text


@pytest.mark.parametrize(
    "policy",
    [
        Policy("all", ".*", "all", 49, {"max-length": 5}),
        Policy("all", "^shop", "all", 100, {"max-length": 5}),
        Policy("all", ".*", "exchanges", 100, {"alternate-exchange": "lost"}),
        Policy("all", ".*", "classic_queues", 100, {"max-length": 5}),
        Policy("all", "^baton[.]dead$", "queues", 100, {"max-length": 5}),
    ],
    ids=["lower", "elsewhere", "exchanges", "classic", "dead"],
)
def test_a_policy_that_leaves_the_queues_to_ours_is_none_of_ours(policy: Policy) -> None:
    found = [text for _, text in told(with_policy(policy)) if text.startswith("policy")]

    assert found == []


@pytest.mark.parametrize(
    ("definition", "taken"),
    [
        ({"message-ttl": 1000}, "message-ttl 1000"),
        ({"expires": 1000}, "expires 1000"),
        ({"max-length": 10, "delivery-limit": 3}, "delivery-limit 3, max-length 10"),
    ],
)
def test_an_operator_policy_that_loses_messages_is_named(definition: dict[str, object], taken: str) -> None:
    seen = replace(GOOD, operator_policies=(Policy("cap", ".*", "queues", 0, definition),))

    ((kind, text),) = told(seen)

    assert kind is Kind.OVERRULED
    assert f"operator policy 'cap' sets {taken} on baton.requests" in text


def test_an_operator_policy_with_room_enough_is_no_drift() -> None:
    cap = Policy("cap", ".*", "queues", 0, {"max-length": 1_000_000, "max-length-bytes": 10**10})

    assert told(replace(GOOD, operator_policies=(cap,))) == []


def test_an_alternate_exchange_by_policy_is_named_only_where_it_counts() -> None:
    alternate = Policy("ae", ".*", "exchanges", 0, {"alternate-exchange": "lost"})
    higher = Policy("plain", "^baton[.]work$", "exchanges", 1, {"federation-upstream-set": "all"})

    ((kind, text),) = told(with_policy(alternate))

    assert kind is Kind.OVERRULED
    assert "exchange baton.work: policy 'ae' gives it an alternate exchange" in text
    assert told(replace(with_policy(alternate), policies=(*GOOD.policies, alternate, higher))) == []


def test_a_pattern_that_python_cannot_read_counts_as_one_that_matches() -> None:
    assert covers(Policy("odd", "(?<n>x", "queues", 0, {}), "baton.requests", "queues")
