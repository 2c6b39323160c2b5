"""RabbitMQ's management API: what a vhost has, and changes to it.

In: an `Address`. Out: a `Seen`, users, and entities made as `wanted` has them.
"""

import base64
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from baton import codec
from baton.errors import BrokerUnavailableError, ConfigError
from baton.topology.address import Address
from baton.topology.differences import Seen, SeenExchange, SeenQueue
from baton.topology.permissions import Rights, SeenUser, Topic
from baton.topology.wanted import QUORUM, TOPIC, Binding, Entity, Exchange, Policy, Queue, Version, parsed

if TYPE_CHECKING:
    from aiohttp import ClientSession

TIMEOUT_S = 20.0
"""Seconds that one request may take."""
_HINT = "is rabbitmq_management enabled, and BATON_MANAGEMENT_URL right?"


class Management:
    """The management API for one vhost; `connected` makes it."""

    def __init__(self, address: Address, session: "ClientSession") -> None:
        self._address = address
        self._session = session
        self._vhost = address.vhost

    async def version(self) -> Version:
        """Return the broker's version.

        Raises:
            BrokerUnavailableError: The API cannot be reached.
            ConfigError: It refuses this user, or is none of RabbitMQ's.
        """
        overview = await self._call("GET", "overview")
        if not isinstance(overview, dict) or "rabbitmq_version" not in overview:
            raise ConfigError(f"{self._address.url} is no management API of RabbitMQ; {_HINT}")
        return parsed(str(overview["rabbitmq_version"]))

    async def seen(self) -> Seen:
        """Return what the vhost has.

        Raises:
            BrokerUnavailableError: The API cannot be reached.
            ConfigError: It refuses this user, or there is no such vhost.
        """
        exchanges = await self._listed("exchanges")
        queues = await self._listed("queues")
        bindings = await self._listed("bindings")
        return Seen(
            exchanges={one["name"]: _exchange(one) for one in exchanges},
            queues={one["name"]: SeenQueue(one.get("type", "classic"), one["arguments"]) for one in queues},
            bindings=frozenset(
                Binding(one["source"], one["destination"], one["routing_key"], one["destination_type"])
                for one in bindings
                if one["source"]
            ),
            policies=tuple(_policy(one) for one in await self._listed("policies")),
            operator_policies=tuple(_policy(one) for one in await self._listed("operator-policies")),
        )

    async def put(self, entity: Entity) -> None:
        """Make an entity, or change it to what it should be.

        Raises:
            BrokerUnavailableError: The API cannot be reached.
            ConfigError: It refuses this.
        """
        match entity:
            case Exchange(name):
                await self._call("PUT", "exchanges", self._vhost, name, body={"type": TOPIC, "durable": True})
            case Queue(name):
                body = {"durable": True, "arguments": {"x-queue-type": QUORUM}}
                await self._call("PUT", "queues", self._vhost, name, body=body)
            case Binding(exchange, target, key):
                path = ("bindings", self._vhost, "e", exchange, "q", target)
                await self._call("POST", *path, body={"routing_key": key})
            case Policy(name, pattern, apply_to, priority, definition):
                policy = {"pattern": pattern, "apply-to": apply_to, "priority": priority, "definition": definition}
                await self._call("PUT", "policies", self._vhost, name, body=policy)

    async def users(self) -> dict[str, SeenUser]:
        """Return the broker's users, with their rights in this vhost.

        Raises:
            BrokerUnavailableError: The API cannot be reached.
            ConfigError: It refuses this user, or there is no such vhost.
        """
        plain = {one["user"]: one for one in await self._call("GET", "vhosts", self._vhost, "permissions")}
        topics: dict[str, list[Topic]] = {}
        for one in await self._call("GET", "vhosts", self._vhost, "topic-permissions"):
            topics.setdefault(one["user"], []).append(Topic(one["exchange"], one["write"], one["read"]))
        return {
            one["name"]: SeenUser(
                tags=_tags(one["tags"]),
                password_hash=one.get("password_hash", ""),
                algorithm=one.get("hashing_algorithm", ""),
                rights=_rights(plain.get(one["name"]), tuple(topics.get(one["name"], ()))),
            )
            for one in await self._call("GET", "users")
        }

    async def put_user(self, name: str, *, password: str | None, seen: SeenUser | None) -> None:
        """Make a user without tags, or change one.

        Args:
            name: The user's name.
            password: Its password; None: it keeps the one that it has.
            seen: The user as it is; None: it is new.

        Raises:
            BrokerUnavailableError: The API cannot be reached.
            ConfigError: It refuses this.
        """
        if password is None:
            assert seen is not None, "a new user needs a password"
            secret = {"password_hash": seen.password_hash, "hashing_algorithm": seen.algorithm}
        else:
            secret = {"password": password}
        await self._call("PUT", "users", name, body={**secret, "tags": ""})

    async def put_topic(self, user: str, topic: Topic) -> None:
        """Set the keys that a user may use with a topic exchange.

        Raises:
            BrokerUnavailableError: The API cannot be reached.
            ConfigError: It refuses this.
        """
        body = {"exchange": topic.exchange, "write": topic.write, "read": topic.read}
        await self._call("PUT", "topic-permissions", self._vhost, user, body=body)

    async def put_rights(self, user: str, rights: Rights) -> None:
        """Set what a user may do in the vhost, keys of topic exchanges apart.

        Raises:
            BrokerUnavailableError: The API cannot be reached.
            ConfigError: It refuses this.
        """
        body = {"configure": rights.configure, "write": rights.write, "read": rights.read}
        await self._call("PUT", "permissions", self._vhost, user, body=body)

    async def _listed(self, what: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self._call("GET", what, self._vhost)
        return found

    async def _call(self, method: str, *path: str, body: Mapping[str, object] | None = None) -> Any:
        from aiohttp import ClientError
        from yarl import URL

        where = "/".join(quote(part, safe="") for part in path)
        # Quoted already: yarl would turn the %2F of the default vhost into a slash.
        url = URL(f"{self._address.url}/api/{where}", encoded=True)
        data = None if body is None else codec.encode(body)
        try:
            async with self._session.request(method, url, data=data) as response:
                answer = await response.read()
        except (ClientError, OSError, TimeoutError) as error:
            raise BrokerUnavailableError(
                f"RabbitMQ's management API at {self._address.url} cannot be reached: {_trouble(error)}; {_HINT}"
            ) from error
        if response.status >= 400:
            raise self._refusal(f"{method} /api/{where}", path, response.status, _reason(answer))
        return _decoded(answer) if answer else None

    def _refusal(self, what: str, path: tuple[str, ...], status: int, reason: str) -> ConfigError:
        at, user, vhost = self._address.url, self._address.user, self._vhost
        if status in (401, 403):
            return ConfigError(
                f"the management API at {at} refuses {what} to user {user!r}: {reason or status}; to look needs the "
                f"tag monitoring, to change the tag administrator, both with rights in vhost {vhost!r}; "
                "set BATON_MANAGEMENT_URL to such a user"
            )
        if status == 404 and path[1:2] == (vhost,) and (len(path) == 2 or path[0] == "vhosts"):
            return ConfigError(f"there is no vhost {vhost!r} at {at}; make it: rabbitmqctl add_vhost {vhost}")
        if status == 404:
            return ConfigError(f"{at} does not know {what}: {reason or 'not found'}; {_HINT}")
        return ConfigError(f"the management API at {at} answered {what} with {status}: {reason or 'no reason given'}")


@contextlib.asynccontextmanager
async def connected(address: Address) -> AsyncIterator[Management]:
    """Open the management API for as long as the block runs.

    Raises:
        ConfigError: The file of certificates cannot be used.
    """
    from aiohttp import ClientSession, ClientTimeout, TCPConnector

    try:
        trusted = ssl.create_default_context(cafile=address.cafile) if address.url.startswith("https") else True
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"cafile {address.cafile!r} cannot be used: {error}") from error
    account = base64.b64encode(f"{address.user}:{address.password}".encode())
    async with ClientSession(
        headers={"Authorization": f"Basic {account.decode()}", "Content-Type": "application/json"},
        timeout=ClientTimeout(total=TIMEOUT_S),
        connector=TCPConnector(ssl=trusted),
    ) as session:
        yield Management(address, session)


def _exchange(one: Mapping[str, Any]) -> SeenExchange:
    return SeenExchange(one["type"], one["durable"], one["auto_delete"], one["internal"], one["arguments"])


def _policy(one: Mapping[str, Any]) -> Policy:
    return Policy(one["name"], one["pattern"], one["apply-to"], one["priority"], one["definition"])


def _rights(plain: Mapping[str, Any] | None, topics: tuple[Topic, ...]) -> Rights | None:
    if plain is None:
        return None
    return Rights(plain["configure"], plain["write"], plain["read"], topics)


def _tags(tags: str | list[str]) -> tuple[str, ...]:
    return tuple(tag for tag in (tags.split(",") if isinstance(tags, str) else tags) if tag)


def _decoded(answer: bytes) -> Any:
    try:
        return codec.decode(answer)
    except ValueError:
        return None


def _trouble(error: Exception) -> str:
    """Return on one line why nothing was heard."""
    from aiohttp import ClientConnectorError, ClientResponseError

    match error:
        case TimeoutError():
            return f"no answer within {TIMEOUT_S:g} s"
        case ClientResponseError():
            return "what listens there does not speak HTTP"
        case ClientConnectorError(os_error=cause):
            return cause.strerror or str(cause)
        case _:
            return " ".join(str(error).split()) or type(error).__name__


def _reason(answer: bytes) -> str:
    found = _decoded(answer)
    return str(found.get("reason") or found.get("error") or "") if isinstance(found, dict) else ""
