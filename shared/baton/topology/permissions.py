"""Who may do what at the broker: one user for each service, with no more than its work needs.

In: the graph of the cards. Out: users with patterns for RabbitMQ, so that the broker itself refuses
an undeclared handoff, another agent's queue and a forged sender; and what `--apply` has to change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from baton.broker.rabbitmq.names import DEAD_QUEUE, EVENTS, LISTEN_PREFIX, REQUESTS, REQUESTS_QUEUE, WORK, agent_queue
from baton.protocol.guards import HUMAN, ROUTER, Graph

USER_PREFIX = "baton-"
"""Users are the node's, not the vhost's: a second environment on one node needs another prefix."""
CLIENT = "client"
NOTHING = "^$"
_ANYTHING = ".*"
_HINT_KEY = r"^[a-z_]+\.[0-9a-f]{32}$"
_DEFAULT_EXCHANGE = "amq.default"
"""What permissions call the exchange without a name."""
_OWN_REPLIES = r"^amq\.gen-"
"""Queues that the broker named: nobody can choose such a name, or guess one."""


@dataclass(frozen=True, slots=True)
class Topic:
    """With which keys a user may publish to a topic exchange, and bind to it."""

    exchange: str
    write: str = NOTHING
    read: str = NOTHING


@dataclass(frozen=True, slots=True)
class Rights:
    """What a user may do in a vhost: patterns of names."""

    configure: str = NOTHING
    write: str = NOTHING
    read: str = NOTHING
    topics: tuple[Topic, ...] = ()
    """Of a topic exchange that is not here, any key is allowed."""

    @property
    def plain(self) -> tuple[str, str, str]:
        """The three patterns of names."""
        return self.configure, self.write, self.read


@dataclass(frozen=True, slots=True)
class SeenUser:
    """A user of the broker."""

    tags: tuple[str, ...] = ()
    password_hash: str = ""
    algorithm: str = ""
    rights: Rights | None = None
    """None: it may not enter the vhost."""


@dataclass(frozen=True, slots=True)
class UserChange:
    """What has to be done for one user."""

    user: str
    is_new: bool
    told: tuple[str, ...]
    """What changes, for a person; empty: nothing."""
    sets_password: bool = False
    clears_tags: bool = False
    topics: tuple[Topic, ...] = ()
    sets_rights: bool = False


def users(graph: Graph, *, prefix: str = USER_PREFIX) -> dict[str, Rights]:
    """Return the users of a team with their rights: each agent's, the router's, and one for clients."""
    found = {prefix + name: agent_rights(graph, name) for name in sorted(graph.cards)}
    return {**found, prefix + ROUTER: router_rights(), prefix + CLIENT: client_rights()}


def agent_rights(graph: Graph, name: str) -> Rights:
    """Return what an agent may do: read its own queue, hand off along its edges, give hints.

    What a guard stops goes to the fallback, so every agent may hand off to that.
    """
    targets = {*graph.allowed(name), ROUTER, graph.fallback or ROUTER} - {HUMAN, name}
    return Rights(
        write=_names(WORK, EVENTS),
        read=_names(agent_queue(name)),
        topics=(Topic(EVENTS, write=_HINT_KEY), Topic(WORK, write=f"^({'|'.join(sorted(targets))})$")),
    )


def router_rights() -> Rights:
    """Return what the router may do: read what comes in, hand on to any agent, answer whoever asked."""
    listen = _literal(LISTEN_PREFIX)
    work_and_hints = _names(_DEFAULT_EXCHANGE, WORK, EVENTS)
    read = _names(REQUESTS_QUEUE, DEAD_QUEUE, agent_queue(ROUTER), EVENTS)
    return Rights(
        configure=f"^{listen}",
        write=f"{work_and_hints}|^{listen}",
        read=f"{read}|^{listen}",
        topics=(Topic(EVENTS, write=_HINT_KEY, read=_ANYTHING), Topic(WORK, write=_ANYTHING)),
    )


def client_rights() -> Rights:
    """Return what a program outside may do: publish requests, and read the replies to its own."""
    return Rights(configure=_OWN_REPLIES, write=_names(REQUESTS), read=_OWN_REPLIES)


def changes(
    wanted: Mapping[str, Rights], seen: Mapping[str, SeenUser], *, new_passwords: frozenset[str]
) -> list[UserChange]:
    """Return what has to be done for each user, in the order of `wanted`.

    Args:
        wanted: The users as they should be.
        seen: All users of the broker.
        new_passwords: Users whose password is not the one that their file holds.
    """
    return [_change(user, rights, seen.get(user), user in new_passwords) for user, rights in wanted.items()]


def strangers(wanted: Mapping[str, Rights], seen: Mapping[str, SeenUser], *, prefix: str = USER_PREFIX) -> list[str]:
    """Return users that are named as services are and may enter the vhost, but belong to none."""
    return sorted(
        name for name, one in seen.items() if name.startswith(prefix) and name not in wanted and one.rights is not None
    )


def _change(user: str, rights: Rights, seen: SeenUser | None, sets_password: bool) -> UserChange:
    now = (seen.rights if seen else None) or Rights()
    topics = tuple(topic for topic in rights.topics if topic not in now.topics)
    has_rights = seen is not None and seen.rights is not None
    told: list[str] = []
    if seen is not None:
        told += ["password as in its file"] if sets_password else []
        told += [f"tags {', '.join(seen.tags)} taken away"] if seen.tags else []
    if has_rights:
        names = ("configure", "write", "read")
        pairs = zip(names, now.plain, rights.plain, strict=True)
        told += [f"{name} {was} becomes {needed}" for name, was, needed in pairs if was != needed]
        told += [f"keys of {topic.exchange}: {_keys(now.topics, topic)}" for topic in topics]
    elif seen is not None:
        told.append("may enter the vhost")
    return UserChange(
        user=user,
        is_new=seen is None,
        told=tuple(told),
        sets_password=sets_password,
        clears_tags=seen is not None and bool(seen.tags),
        topics=topics,
        sets_rights=not has_rights or now.plain != rights.plain,
    )


def _keys(now: Sequence[Topic], needed: Topic) -> str:
    was = next((one for one in now if one.exchange == needed.exchange), Topic(needed.exchange, _ANYTHING, _ANYTHING))
    pairs = (("write", was.write, needed.write), ("read", was.read, needed.read))
    return ", ".join(f"{name} {before} becomes {after}" for name, before, after in pairs if before != after)


def _names(*names: str) -> str:
    return f"^({'|'.join(map(_literal, names))})$"


def _literal(name: str) -> str:
    return name.replace(".", r"\.")
