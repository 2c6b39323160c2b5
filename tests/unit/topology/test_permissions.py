"""Who may do what: the patterns, read as the broker reads them, and what changes them."""

import re
from dataclasses import replace

import pytest

from baton.card import Card
from baton.protocol.guards import Graph
from baton.topology.permissions import Rights, SeenUser, Topic, UserChange, changes, strangers, users


def graph(fallback: str | None = None, **targets: list[str]) -> Graph:
    cards = {name: Card(name=name, description="", targets=tuple(to)) for name, to in targets.items()}
    return Graph(cards, fallback)


GRAPH = graph("clerk", cards=["disputes", "vault-2"], disputes=["human"], clerk=[])
USERS = users(GRAPH)
HINT = f"ended.{'0' * 32}"


def may(pattern: str, name: str) -> bool:
    return re.search(pattern, name) is not None


def may_publish(user: str, exchange: str, key: str) -> bool:
    rights = USERS[user]
    topics = {topic.exchange: topic for topic in rights.topics}
    return may(rights.write, exchange) and (exchange not in topics or may(topics[exchange].write, key))


def test_every_agent_the_router_and_clients_have_a_user() -> None:
    assert list(USERS) == ["baton-cards", "baton-clerk", "baton-disputes", "baton-router", "baton-client"]
    assert list(users(GRAPH, prefix="test-"))[-1] == "test-client"


@pytest.mark.parametrize(
    ("agent", "targets"),
    [
        ("cards", {"disputes", "vault-2", "clerk", "router"}),
        ("disputes", {"clerk", "router"}),
        ("clerk", {"router"}),
    ],
)
def test_an_agent_may_publish_to_its_targets_the_fallback_and_the_router_alone(agent: str, targets: set[str]) -> None:
    known = {*GRAPH.cards, "router", "human", "vault-2", "disputes2", "xdisputes", "", "#", "*"}

    assert {key for key in known if may_publish(f"baton-{agent}", "baton.work", key)} == targets


def test_a_fallback_to_a_person_needs_no_queue() -> None:
    (work,) = [t for t in users(graph("human", cards=[]))["baton-cards"].topics if t.exchange == "baton.work"]

    assert work.write == "^(router)$"


NAMES = [
    "amq.default",
    "amq.topic",
    "amq.gen-JzTY20BRgKO-HjmUJj0wLg",
    "baton.requests",
    "baton.work",
    "baton.dead",
    "baton.events",
    "baton.agent.cards",
    "baton.agent.cards2",
    "baton.agent.disputes",
    "baton.agent.router",
    "baton.listen.1",
    "batonXwork",
    "shop",
]


@pytest.mark.parametrize(
    ("user", "configure", "write", "read"),
    [
        ("baton-cards", [], ["baton.work", "baton.events"], ["baton.agent.cards"]),
        (
            "baton-router",
            ["baton.listen.1"],
            ["amq.default", "baton.work", "baton.events", "baton.listen.1"],
            ["baton.requests", "baton.dead", "baton.events", "baton.agent.router", "baton.listen.1"],
        ),
        ("baton-client", [NAMES[2]], ["baton.requests"], [NAMES[2]]),
    ],
)
def test_a_user_may_touch_what_its_work_needs(
    user: str, configure: list[str], write: list[str], read: list[str]
) -> None:
    patterns = USERS[user].plain

    assert [[name for name in NAMES if may(pattern, name)] for pattern in patterns] == [configure, write, read]


@pytest.mark.parametrize("key", [HINT, f"waiting.{'af09' * 8}"])
def test_agents_and_router_may_give_hints(key: str) -> None:
    assert may_publish("baton-cards", "baton.events", key)
    assert may_publish("baton-router", "baton.events", key)


@pytest.mark.parametrize("key", ["", "#", "ended.1", f"{HINT}0", f"x.{HINT}"])
def test_what_is_no_hint_is_no_event(key: str) -> None:
    assert not may_publish("baton-cards", "baton.events", key)


def test_the_router_may_hand_on_to_agents_that_come_later() -> None:
    assert may_publish("baton-router", "baton.work", "newcomer")


RIGHTS = Rights(write="^w$", read="^r$", topics=(Topic("baton.work", "^(a)$"),))
GOOD = SeenUser(rights=RIGHTS)


def changed(seen: SeenUser | None, *, new_password: bool = False) -> tuple[str, ...]:
    names = frozenset({"baton-a"} if new_password else ())
    (change,) = changes({"baton-a": RIGHTS}, {"baton-a": seen} if seen else {}, new_passwords=names)
    return change.told


def test_a_user_as_it_should_be_needs_nothing() -> None:
    (change,) = changes({"baton-a": RIGHTS}, {"baton-a": GOOD}, new_passwords=frozenset())

    assert change == UserChange("baton-a", is_new=False, told=())


def test_a_new_user_needs_everything() -> None:
    (change,) = changes({"baton-a": RIGHTS}, {}, new_passwords=frozenset({"baton-a"}))

    assert (change.is_new, change.sets_rights, change.topics) == (True, True, RIGHTS.topics)


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (replace(GOOD, tags=("administrator",)), "tags administrator taken away"),
        (replace(GOOD, rights=replace(RIGHTS, write=".*")), "write .* becomes ^w$"),
        (replace(GOOD, rights=replace(RIGHTS, configure=".*")), "configure .* becomes ^$"),
        (replace(GOOD, rights=None), "may enter the vhost"),
        (replace(GOOD, rights=replace(RIGHTS, topics=())), "keys of baton.work: write .* becomes ^(a)$, read .* be"),
        (
            replace(GOOD, rights=replace(RIGHTS, topics=(Topic("baton.work", "^(a|b)$"),))),
            "keys of baton.work: write ^(a|b)$ becomes ^(a)$",
        ),
    ],
)
def test_what_is_not_as_it_should_be_is_told_and_changed(seen: SeenUser, told: str) -> None:
    (text,) = changed(seen)

    assert told in text


def test_a_password_is_set_only_where_its_file_says_so() -> None:
    assert changed(GOOD, new_password=True) == ("password as in its file",)
    assert changed(GOOD, new_password=False) == ()


def test_users_of_services_that_are_gone_are_named() -> None:
    seen = {
        "baton-a": GOOD,
        "baton-old": GOOD,
        "baton-elsewhere": replace(GOOD, rights=None),
        "guest": GOOD,
    }

    assert strangers({"baton-a": RIGHTS}, seen) == ["baton-old"]
