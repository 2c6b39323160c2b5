"""Servers of the benchmark's own, their data in memory, so that the disk's moods are in no figure.

In: what this machine has installed. Out: URLs; the servers end with the block.
"""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from baton.bench.processes import Servers
from tests.support.postgres import with_schema
from tests.support.servers import installing, machine
from tests.support.servers.orders import TITLES, Kind, Order, UnavailableError
from tests.support.servers.processes import LOCAL, LocalServer


@contextlib.contextmanager
def own_servers() -> Iterator[Servers]:
    """Run a RabbitMQ and a PostgreSQL for as long as the block runs."""
    directory = Path(tempfile.mkdtemp(prefix="baton-bench-", dir=machine.places()[0]))
    directory.chmod(0o711)
    kinds: tuple[Kind, ...] = ("rabbitmq", "postgres")
    started: list[LocalServer] = []
    try:
        for kind in kinds:
            started.append(_started(kind, directory))
        rabbit, postgres = (server.order for server in started)
        yield Servers(rabbit.url, with_schema(postgres.url, "bench"), rabbit.management_url)
    finally:
        for server in started:
            server.discard()
        shutil.rmtree(directory, ignore_errors=True)


def _started(kind: Kind, directory: Path) -> LocalServer:
    try:
        machine.find(kind)
    except UnavailableError:
        installing.install(kind, print)
    place = directory / kind
    place.mkdir(mode=0o700)
    ports = machine.free_ports(4 if kind == "rabbitmq" else 1)
    server = LOCAL[kind](Order(kind, "found", str(place), ports, os.urandom(12).hex(), is_shared=False))
    try:
        print(f"{TITLES[kind]} {server.start()}, its data in {directory.parent}", file=sys.stderr, flush=True)
    except BaseException:
        server.discard()
        raise
    return server
