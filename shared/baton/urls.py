"""What `BATON_BROKER_URL` and `BATON_JOURNAL_URL` stand for. Imports a client library only when its URL is met.

In: URLs that `config` let through. Out: brokers and journals, not started yet.
"""

from typing import Protocol, TypeGuard

from baton.broker.contract import Broker, Edge
from baton.broker.memory import MemoryBroker
from baton.config import Settings
from baton.errors import ConfigError
from baton.journal.contract import Journal

SQLITE = "sqlite:///"


def open_journal(url: str) -> Journal:
    """Return the journal that `url` names, not yet started.

    Raises:
        ConfigError: No journal is of that kind.
    """
    if url.startswith(SQLITE):
        from baton.journal.sqlite.journal import SqliteJournal

        return SqliteJournal(url[len(SQLITE) :])
    if url.startswith("postgresql://"):
        from baton.journal.postgres.journal import PostgresJournal

        return PostgresJournal(url)
    raise ConfigError(f"BATON_JOURNAL_URL {url.partition(':')[0]!r}: allowed are {SQLITE}… and postgresql://…")


def open_broker(settings: Settings) -> Broker:
    """Return the broker that the settings name, not yet started.

    Raises:
        ConfigError: The URL is none of RabbitMQ.
    """
    if settings.is_embedded:
        return MemoryBroker()
    from baton.broker.rabbitmq.broker import RabbitBroker

    return RabbitBroker(settings.broker_url)


class EdgeBroker(Broker, Edge, Protocol):
    """A broker that other programs can reach."""


def is_edge(broker: Broker) -> TypeGuard[EdgeBroker]:
    """Return True where other programs can reach this broker."""
    return hasattr(broker, "consume_requests")
