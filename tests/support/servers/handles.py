"""What a test holds of a server: addresses, and (for its own) stopping and starting it.

In: a `Record`. Out: `RabbitServer` and `PostgresServer`.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from tests.support.postgres import for_psycopg, with_schema
from tests.support.servers import ready
from tests.support.servers.keeper import CRASH, DISCARD, PID, RUNNING, STOP
from tests.support.servers.locks import is_held, pause, wait_until
from tests.support.servers.orders import TITLES, Order, Record, UnavailableError, numbers

ROOT = Path(__file__).resolve().parents[3]
KEEPER = "tests.support.servers.keeper"
START_S = 300.0
"""An image may have to be pulled first."""
STOP_S = 60.0
SHORT_WAIT = "SET lock_timeout = '10s'"
"""A test that leaves a transaction open holds up the end of its schema: that is its failure."""
CONTROL_S = 60.0
SETTLED_S = 2.0
"""RabbitMQ writes down that a quorum queue exists within about a second. Killed before, it has a queue that answers
nobody, for ever (seen on 3.10.8 and 4.0.5 with one node, up to 0.7 s; not from 1.5 s)."""


def start_keeper(order: Order) -> tuple[str, str]:
    """Run a server; return its version, and the host where it is reached, once it serves.

    Raises:
        UnavailableError: It cannot be run; says why.
    """
    place = order.directory
    with (place / "keeper.log").open("ab") as log:
        try:
            done = subprocess.run(
                [sys.executable, "-m", KEEPER, str(place)],
                cwd=ROOT,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                timeout=START_S,
            )
        except subprocess.TimeoutExpired:
            tell_keeper(place, DISCARD)
            raise UnavailableError(f"not started within {START_S:g} s") from None
    said = json.loads(done.stdout or b'{"unavailable": "its keeper ended"}')
    if "version" not in said:
        raise UnavailableError(said["unavailable"])
    return said["version"], said["host"]


def tell_keeper(place: Path, number: int) -> None:
    """Give the keeper of the server in `place` a signal, if there is one, and return when it is gone."""
    if is_held(place / RUNNING):
        with suppress(ProcessLookupError):
            os.kill(int((place / PID).read_text(encoding="ascii")), number)
        wait_until(lambda: not is_held(place / RUNNING), timeout_s=STOP_S, what=f"the server in {place} ends")


class Server:
    """A running server."""

    def __init__(self, record: Record) -> None:
        self.record = record

    def __repr__(self) -> str:
        return f"<{self.record}>"

    @property
    def url(self) -> str:
        """An administrator's URL."""
        return self.record.url

    @property
    def version(self) -> str:
        """As the server tells it: `4.0.5`, `17.12`."""
        return self.record.version

    @property
    def version_info(self) -> tuple[int, ...]:
        """The version as numbers."""
        return numbers(self.version)

    @property
    def is_running(self) -> bool:
        """False while it is stopped."""
        return not self.record.place or is_held(Path(self.record.place) / RUNNING)

    def stop(self, *, is_crash: bool = False) -> None:
        """Stop it, and return when it is gone; its data stay.

        Args:
            is_crash: True: without a chance to tidy up.

        Raises:
            RuntimeError: It is not this test's own.
        """
        tell_keeper(Path(self._own_order().place), CRASH if is_crash else STOP)

    def start(self) -> None:
        """Start it again on the same ports and data, and return when it serves; harmless if it runs.

        Raises:
            RuntimeError: It is not this test's own.
        """
        order = self._own_order()
        if not self.is_running:
            start_keeper(order)

    def restart(self, *, is_crash: bool = False) -> None:
        """Stop it and start it; see `stop` and `start`."""
        self.stop(is_crash=is_crash)
        self.start()

    def discard(self) -> None:
        """End it and remove its data."""
        place = Path(self._own_order().place)
        if self.is_running:
            tell_keeper(place, DISCARD)
            return
        if Order.read(place).source == "docker":
            from tests.support.servers.containers import remove

            remove(place)
        shutil.rmtree(place)

    def _own_order(self) -> Order:
        title, kind = TITLES[self.record.kind], {"rabbitmq": "amqp", "postgres": "postgres"}[self.record.kind]
        if not self.record.place:
            raise RuntimeError(f"{title} is not run by the tests ({self.record.how}): take own_{kind}_server")
        order = Order.read(Path(self.record.place))
        if order.is_shared:
            raise RuntimeError(f"other tests use this {title} at the same time: take own_{kind}_server")
        return order


class RabbitServer(Server):
    """A RabbitMQ node with the management plugin."""

    @property
    def management_url(self) -> str:
        """`http://user:password@host:port`, of an administrator."""
        return self.record.management_url

    def stop(self, *, is_crash: bool = False) -> None:
        """See `Server.stop`; a crash comes only when the queues that were just declared survive it."""
        if is_crash:
            self._own_order()
            pause(SETTLED_S)
        super().stop(is_crash=is_crash)

    def control(self, *args: str) -> str:
        """Run `rabbitmqctl` for this node and return what it prints. Takes about a second.

        Raises:
            RuntimeError: It failed, or the node is not run by the tests.
        """
        if not self.record.place:
            raise RuntimeError(f"RabbitMQ is not run by the tests ({self.record.how}): take own_amqp_server")
        order = Order.read(Path(self.record.place))
        if order.source == "docker":
            from tests.support.servers.containers import run_inside

            code, printed = run_inside(order.directory, "rabbitmqctl", *args)
        else:
            code, printed = _run_here(order, *args)
        if code:
            raise RuntimeError(f"rabbitmqctl {' '.join(args)} ended with {code}: {printed.strip()}")
        return printed

    def wipe(self) -> None:
        """Let the node forget everything: queues, messages, vhosts and users but its administrator.

        Raises:
            RuntimeError: It is not this test's own.
        """
        self._own_order()
        for command in ("stop_app", "reset", "start_app"):
            self.control(command)

    def api(self, method: str, path: str, body: object = None) -> object:
        """Call the management API; see `ready.call_api`."""
        return ready.call_api(self.management_url, method, path, body)

    @contextmanager
    def vhost(self) -> Iterator[str]:
        """Make a vhost, give its URL, and delete it afterwards."""
        name = f"test-{secrets.token_hex(6)}"
        user = ready.part(ready.user_of(self.url))
        self.api("PUT", f"vhosts/{name}")
        self.api("PUT", f"permissions/{name}/{user}", {"configure": ".*", "write": ".*", "read": ".*"})
        try:
            yield urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))
        finally:
            # Gone already if the test wiped the node.
            with suppress(ready.ApiError):
                self.api("DELETE", f"vhosts/{name}")


def _run_here(order: Order, *args: str) -> tuple[int, str]:
    from tests.support.servers import machine, processes

    done = subprocess.run(
        [str(machine.find_rabbitmq() / "rabbitmqctl"), *args],
        cwd=order.directory,
        env=processes.rabbit_environment(order),
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=CONTROL_S,
        **processes.as_account(machine.account_for("rabbitmq")),
    )
    return done.returncode, done.stdout


class PostgresServer(Server):
    """A PostgreSQL cluster."""

    def run(self, statement: str) -> None:
        """Run one statement as the administrator."""
        import psycopg

        with psycopg.connect(for_psycopg(self.url), autocommit=True) as connection:
            connection.execute(SHORT_WAIT)
            connection.execute(statement)

    @contextmanager
    def schema(self) -> Iterator[str]:
        """Make an empty schema, give a URL that looks there, and drop it afterwards."""
        name = f"test_{secrets.token_hex(6)}"
        self.run(f"CREATE SCHEMA {name}")
        try:
            yield with_schema(self.url, name)
        finally:
            self.run(f"DROP SCHEMA IF EXISTS {name} CASCADE")


HANDLES = {"rabbitmq": RabbitServer, "postgres": PostgresServer}
