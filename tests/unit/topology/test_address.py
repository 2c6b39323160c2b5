"""Where the management API is, from the settings' URLs."""

import pytest

from baton.errors import ConfigError
from baton.topology.address import Address, address_of


@pytest.mark.parametrize(
    ("broker_url", "management_url", "address"),
    [
        ("amqp://u:p@host:5999/prod", None, Address("http://host:15672", "u", "p", "prod")),
        ("amqps://u:p@host/", None, Address("https://host:15671", "u", "p", "/")),
        ("amqp://host", None, Address("http://host:15672", "guest", "guest", "/")),
        ("amqp://u:p@host/%2Fteam%20a", None, Address("http://host:15672", "u", "p", "/team a")),
        ("amqp://u:p%40ss@[::1]/", None, Address("http://[::1]:15672", "u", "p@ss", "/")),
        ("amqp://u:p@host/v", "http://admin:x@other:1234", Address("http://other:1234", "admin", "x", "v")),
        ("amqp://u:p@host/v", "https://admin:x@other/mq/", Address("https://other:15671/mq", "admin", "x", "v")),
        ("amqp://u:p@host/v", "http://other", Address("http://other:15672", "u", "p", "v")),
        ("amqps://u:p@h/v?cafile=/ca.pem", None, Address("https://h:15671", "u", "p", "v", "/ca.pem")),
    ],
)
def test_the_address_comes_from_both_urls(broker_url: str, management_url: str | None, address: Address) -> None:
    assert address_of(broker_url, management_url) == address


@pytest.mark.parametrize(
    ("broker_url", "management_url", "told"),
    [
        ("memory://", None, "BATON_BROKER_URL is 'memory://': a topology needs RabbitMQ"),
        ("amqp://host", "http://", "BATON_MANAGEMENT_URL is 'http://': allowed are"),
        ("amqp://host", "ftp://u:secret@host", r"BATON_MANAGEMENT_URL is 'ftp://u:\*\*\*@host': allowed are"),
        ("amqp://host", "http://host:99999", "BATON_MANAGEMENT_URL has no usable port"),
    ],
)
def test_urls_that_cannot_be_used_are_told(broker_url: str, management_url: str | None, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        address_of(broker_url, management_url)


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(address_of("amqp://u:secret@host", None))
