"""One server of each kind per test session, started by the first process that needs it.

In: the session's directory, which the controlling process makes and every worker of the session knows.
Out: a server's `Record`, the same for all; at the end nothing is left.
"""

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from typing import Literal

from tests.support.servers import choosing, installing, machine, ready
from tests.support.servers.handles import start_keeper
from tests.support.servers.keeper import ALIVE, RUNNING
from tests.support.servers.locks import is_held, locked, take, wait_until
from tests.support.servers.orders import TITLES, Kind, Order, Record, Source, UnavailableError

PREFIX = "baton-tests-"
STALE_S = 60.0
"""A directory younger than this may belong to a session that is just being made."""
END_S = 30.0

Announce = Callable[[str], None]
"""Tells the person who runs the tests what is done to the machine."""


class Session:
    """A test session's directory, and the lock that says that it goes on."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._alive: int | None = None

    @classmethod
    def begin(cls) -> "Session":
        """Make a session; what killed ones left is removed."""
        for place in machine.places():
            for left in place.glob(f"{PREFIX}*"):
                _remove_if_over(left)
        session = cls(Path(tempfile.mkdtemp(prefix=PREFIX, dir=machine.places()[0])))
        # The servers' users must be able to pass through to their own directories.
        session.directory.chmod(0o711)
        session._alive = take(session.directory / ALIVE)
        return session

    def end(self) -> None:
        """End all servers and remove the directory; only for who began the session."""
        assert self._alive is not None
        os.close(self._alive)
        with suppress(TimeoutError):
            wait_until(lambda: not self._running(), timeout_s=END_S, what="the servers end")
        if any(self.directory.glob("*/container.id")):
            from tests.support.servers.containers import sweep

            sweep(self.directory)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _running(self) -> list[Path]:
        return [lock for lock in self.directory.glob(f"*/{RUNNING}") if is_held(lock)]

    def records(self) -> list[Record]:
        """Return what the session uses so far."""
        return [Record.read(path) for path in sorted(self.directory.glob("*.json"), reverse=True)]

    def shared(self, kind: Kind, environ: Mapping[str, str], announce: Announce) -> Record:
        """Return the session's server of a kind; the first call starts it."""
        path = self.directory / f"{kind}.json"
        with locked(self.directory / f"{kind}.lock"):
            if not path.exists():
                self.obtain(kind, environ, announce).write(path)
        return Record.read(path)

    def obtain(self, kind: Kind, environ: Mapping[str, str], announce: Announce, *, is_own: bool = False) -> Record:
        """Return a new server from the first source that has one.

        Args:
            kind: Of server.
            environ: Environment variables.
            announce: Is told what is installed.
            is_own: True: for one test, which may stop it.
        """
        reasons: list[str] = []
        for source in choosing.sources(kind, environ, is_own=is_own):
            try:
                record = self._from(source, kind, environ, announce, is_shared=not is_own)
            except UnavailableError as problem:
                reasons.append(str(problem))
            else:
                return record
        return Record(kind, "", is_missing=True, reason="; ".join(reasons))

    def _from(
        self, source: Source, kind: Kind, environ: Mapping[str, str], announce: Announce, *, is_shared: bool
    ) -> Record:
        if source == "given":
            return given(kind, environ)
        if source == "docker":
            return self._run(kind, "docker", "docker", is_shared=is_shared)
        if source == "installed":
            installing.install(kind, announce)
            return self._run(kind, "found", "installed for the tests", is_shared=is_shared)
        machine.find(kind)
        return self._run(kind, "found", "found on this machine", is_shared=is_shared)

    def _run(self, kind: Kind, source: Literal["docker", "found"], how: str, *, is_shared: bool) -> Record:
        place = self.directory / f"{kind}-{secrets.token_hex(3)}"
        place.mkdir(mode=0o700)
        ports = machine.free_ports(4 if kind == "rabbitmq" else 1)
        order = Order(kind, source, str(place), ports, secrets.token_hex(12), is_shared)
        order.write()
        try:
            version, host = start_keeper(order)
        except UnavailableError:
            shutil.rmtree(place, ignore_errors=True)
            raise
        order = replace(order, host=host)
        management = order.management_url if kind == "rabbitmq" else ""
        return Record(kind, how, version, order.url, management, str(place))


def given(kind: Kind, environ: Mapping[str, str]) -> Record:
    """Return the server that the environment names.

    Raises:
        UnavailableError: It does not answer.
    """
    variable = choosing.URL_VARIABLES[kind]
    url = environ[variable]
    try:
        if kind == "postgres":
            return Record(kind, variable, ready.postgres_version(url), url)
        management = choosing.given_management_url(environ)
        return Record(kind, variable, ready.rabbitmq_version(management), url, management)
    except (OSError, HTTPException, ready.ApiError) as problem:
        where = f"; {choosing.MANAGEMENT_VARIABLE} says where its management API is" if kind == "rabbitmq" else ""
        raise UnavailableError(f"{variable}: {TITLES[kind]} does not answer: {problem}{where}") from None


def _remove_if_over(directory: Path) -> None:
    with suppress(OSError):
        status = directory.stat()
        if status.st_uid != os.geteuid() or time.time() - status.st_mtime < STALE_S:
            return
        if is_held(directory / ALIVE) or any(is_held(lock) for lock in directory.glob(f"*/{RUNNING}")):
            return
        shutil.rmtree(directory, ignore_errors=True)
