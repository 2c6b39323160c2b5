"""What a team needs of RabbitMQ, for every version of it."""

import re

import pytest

from baton.topology.wanted import Binding, Version, Wanted, parsed, wanted

TIMEOUT_S = 1800.0


def of(*agents: str, version: Version = (4, 0, 5)) -> Wanted:
    return wanted(agents, consumer_timeout_s=TIMEOUT_S, version=version)


def test_every_agent_and_the_router_has_a_queue_that_gets_what_is_published_for_it() -> None:
    needed = of("disputes", "cards")

    assert [exchange.name for exchange in needed.exchanges] == [
        "baton.requests",
        "baton.work",
        "baton.dead",
        "baton.events",
    ]
    assert [queue.name for queue in needed.queues] == [
        "baton.requests",
        "baton.dead",
        "baton.agent.cards",
        "baton.agent.disputes",
        "baton.agent.router",
    ]
    assert needed.bindings == (
        Binding("baton.requests", "baton.requests", "#"),
        Binding("baton.dead", "baton.dead", "#"),
        Binding("baton.work", "baton.agent.cards", "cards"),
        Binding("baton.work", "baton.agent.disputes", "disputes"),
        Binding("baton.work", "baton.agent.router", "router"),
    )
    assert needed.size == 4 + 5 + 5 + 1


@pytest.mark.parametrize(
    ("name", "is_covered"),
    [
        ("baton.requests", True),
        ("baton.agent.cards", True),
        ("baton.agent.router", True),
        ("baton.dead", False),
        ("baton.requests2", False),
        ("baton.listen.1", False),
        ("batonXagent.cards", False),
        ("my.baton.agent.cards", False),
    ],
)
def test_the_policy_covers_the_requests_and_the_agents_and_nothing_else(name: str, is_covered: bool) -> None:
    assert bool(re.search(of("cards").policy.pattern, name)) is is_covered


ALWAYS = {
    "delivery-limit": 20,
    "dead-letter-exchange": "baton.dead",
    "dead-letter-strategy": "at-least-once",
    "overflow": "reject-publish",
    "max-length": 100_000,
}


@pytest.mark.parametrize(
    ("version", "apply_to", "more"),
    [
        ("3.10.8", "queues", {}),
        ("3.11.28", "queues", {}),
        ("3.12.0", "quorum_queues", {"consumer-timeout": 1_800_000}),
        ("4.0.5", "quorum_queues", {"consumer-timeout": 1_800_000}),
        ("4.3.0", "quorum_queues", {"consumer-timeout": 1_800_000}),
        ("4.3.1", "quorum_queues", {"consumer-timeout": 1_800_000, "delayed-retry-type": "disabled"}),
        ("5.0.0", "quorum_queues", {"consumer-timeout": 1_800_000, "delayed-retry-type": "disabled"}),
    ],
)
def test_the_policy_says_what_the_version_understands(version: str, apply_to: str, more: dict[str, object]) -> None:
    policy = of("cards", version=parsed(version)).policy

    assert (policy.apply_to, policy.definition) == (apply_to, ALWAYS | more)


@pytest.mark.parametrize(
    ("text", "version"),
    [("3.10.8", (3, 10, 8)), ("4.1.0-rc.1", (4, 1, 0)), ("4.0.5+deb12", (4, 0, 5)), ("4.x", (4, 0)), ("", (0,))],
)
def test_versions_are_compared_as_numbers(text: str, version: Version) -> None:
    assert parsed(text) == version
