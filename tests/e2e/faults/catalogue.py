"""Every fault that `make chaos` injects, in the order of its report."""

import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.e2e.faults import deploys, kills, messages
from tests.e2e.faults.arena import Arena, Fault, new_arena
from tests.e2e.faults.site import Site
from tests.support.servers.handles import PostgresServer, RabbitServer


@dataclass(frozen=True)
class Servers:
    """A RabbitMQ and a PostgreSQL of our own, to be stopped and harmed at will."""

    rabbit: RabbitServer
    postgres: PostgresServer


class Place:
    """A vhost, a schema and a folder for one fault; gone afterwards, but for the folder.

    Args:
        servers: Where.
        folder: Made; logs stay there.
    """

    def __init__(self, servers: Servers, folder: Path) -> None:
        self.servers = servers
        self._folder = folder
        self._stack = ExitStack()
        self.site: Site

    def __enter__(self) -> Self:
        rabbit, postgres = self.servers.rabbit, self.servers.postgres
        rabbit.start()
        postgres.start()
        broker_url = self._stack.enter_context(rabbit.vhost())
        journal_url = self._stack.enter_context(postgres.schema())
        folder = self._folder / secrets.token_hex(3)
        folder.mkdir(parents=True)
        self.site = Site(broker_url, rabbit.management_url, journal_url, folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.servers.rabbit.start()
        self.servers.postgres.start()
        self._stack.__exit__(kind, error, trace)


def on_its_own(place: Place, seed: int, *, is_full: bool) -> AbstractAsyncContextManager[Arena]:
    """Give an arena whose services reach the servers directly."""
    return new_arena(place.site, seed=seed, is_full=is_full)


@dataclass(frozen=True)
class Trial:
    """A fault and where it takes place."""

    name: str
    fault: Fault
    opens: Callable[..., AbstractAsyncContextManager[Arena]] = on_its_own
    """Called with a `Place`, a seed and `is_full=`; another one may put proxies between."""


TRIALS = (
    Trial("killed at every fail point", kills.kill_at_points),
    Trial("killed at random", kills.kill_at_random),
    Trial("frozen past its lease", kills.freeze),
    Trial("messages tripled and reordered", messages.triple),
    Trial("poison messages", messages.poison),
    Trial("undeployed target", messages.undeployed),
    Trial("stopped by SIGTERM", deploys.stop),
    Trial("rolling deploy", deploys.roll),
    Trial("cancel racing the end", deploys.cancel),
    Trial("noisy tenant", deploys.noisy_tenant),
)
