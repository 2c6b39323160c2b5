"""Where RabbitMQ's management API is, and for which vhost it is asked.

In: the settings' URLs. Out: an `Address`.
"""

from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from baton.config import masked
from baton.errors import ConfigError

_PORTS = {"http": 15672, "https": 15671}


@dataclass(frozen=True, slots=True)
class Address:
    """The management API of one broker, and a vhost of it."""

    url: str
    """`http://host:15672`, without credentials and without a slash at the end."""
    user: str
    password: str = field(repr=False)
    vhost: str
    cafile: str | None = None
    """Certificates to trust; None: the system's."""


def address_of(broker_url: str, management_url: str | None) -> Address:
    """Return where to ask.

    Args:
        broker_url: `amqp://…` or `amqps://…`: says the vhost, and the rest unless `management_url` does.
        management_url: `http://user:password@host:15672` or `https://…`; None: the broker's host and user,
            port 15672, or https and 15671 for `amqps`.

    Raises:
        ConfigError: One of them cannot be used.
    """
    broker = urlsplit(broker_url)
    if broker.scheme not in ("amqp", "amqps"):
        raise ConfigError(f"BATON_BROKER_URL is {masked(broker_url)!r}: a topology needs RabbitMQ: amqp:// or amqps://")
    if management_url is None:
        given, scheme = broker, "https" if broker.scheme == "amqps" else "http"
        port, path = _PORTS[scheme], ""
    else:
        given, scheme = urlsplit(management_url), urlsplit(management_url).scheme
        if scheme not in _PORTS or not given.hostname:
            raise ConfigError(
                f"BATON_MANAGEMENT_URL is {masked(management_url)!r}: allowed are http://user:password@host:15672 "
                "and https://…"
            )
        port, path = _port(given, "BATON_MANAGEMENT_URL") or _PORTS[scheme], given.path.rstrip("/")
    host = given.hostname or "localhost"
    account = given if given.username is not None else broker
    return Address(
        url=f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{path}",
        user=unquote(account.username or "guest"),
        password=unquote(account.password or "guest"),
        vhost=unquote(broker.path[1:]) or "/",
        cafile=next(iter(parse_qs(given.query).get("cafile", [])), None),
    )


def _port(url: SplitResult, variable: str) -> int | None:
    try:
        return url.port
    except ValueError as error:
        raise ConfigError(f"{variable} has no usable port: {error}; allowed are 1 to 65535") from error
