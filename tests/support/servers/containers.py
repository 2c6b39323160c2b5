"""Servers in containers, by testcontainers.

In: an `Order`. Out: a running `ContainerServer`, ready for clients; and the removal of what killed sessions left.
"""

import os
import shutil
import socket
import time
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# Read by testcontainers when it is imported. Its reaper would be one more image to pull: the keeper and the labels
# do its work. Its guess that it runs in a container itself goes by a file that some machines have as well.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
os.environ.setdefault("TESTCONTAINERS_CONNECTION_MODE", "docker_host")

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient

from tests.support.servers import ready
from tests.support.servers.locks import is_held, locked
from tests.support.servers.orders import USER, Order, UnavailableError

IMAGES = {"rabbitmq": "rabbitmq:4-management", "postgres": "postgres:17"}
INNER_PORTS = {"rabbitmq": ("5672/tcp", "15672/tcp"), "postgres": ("5432/tcp",)}
DATA = {"rabbitmq": "/var/lib/rabbitmq", "postgres": "/var/lib/postgresql/data"}

START_S = 60.0
STOP_S = 30
ANSWER_S = 5
PULL_S = 90.0

SESSION_LABEL = "baton.tests.session"
"""The session's directory: a container whose session is over belongs to nobody."""
HOST_LABEL = "baton.tests.host"
ID = "container.id"


def engine(*, timeout_s: float | None = ANSWER_S) -> docker.DockerClient:
    """Return a client of the engine that testcontainers would use.

    Raises:
        UnavailableError: None answers.
    """
    try:
        client = DockerClient(timeout=timeout_s).client
        client.ping()
    except (DockerException, OSError) as problem:
        why = " (permission denied)" if "Permission denied" in str(problem) else ""
        raise UnavailableError(f"no Docker engine answers{why}") from None
    return client


def _short(problem: Exception) -> str:
    return str(problem).replace("\n", " ")[:200]


def reach(client: docker.DockerClient) -> tuple[str, str]:
    """Return where containers' ports are to be bound, and where clients find them."""
    url = urlsplit(client.api.base_url)
    is_remote = url.scheme in {"http", "https"} and url.hostname not in {None, "localhost", "127.0.0.1"}
    return ("0.0.0.0", str(url.hostname)) if is_remote else ("127.0.0.1", "127.0.0.1")


def find_image(client: docker.DockerClient, name: str) -> None:
    """See that an image is there, or pull it within a short time.

    Raises:
        UnavailableError: It is not there and cannot be had.
    """
    with suppress(ImageNotFound):
        client.images.get(name)
        return
    give_up_at = time.monotonic() + PULL_S
    try:
        for event in client.api.pull(*name.split(":"), stream=True, decode=True):
            if "error" in event:
                raise UnavailableError(f"no image {name}, and it cannot be pulled: {event['error'][:200]}")
            if time.monotonic() > give_up_at:
                raise UnavailableError(f"no image {name}, and it was not pulled within {PULL_S:g} s")
    except (DockerException, OSError) as problem:
        raise UnavailableError(f"no image {name}, and it cannot be pulled: {_short(problem)}") from None


def refuse_own_engine(client: docker.DockerClient) -> None:
    """Refuse the engine that runs the tests in a container: the ports that it publishes are not theirs.

    Raises:
        UnavailableError: The tests run in a container of this engine.
    """
    with suppress(NotFound, APIError):
        client.containers.get(socket.gethostname())
        raise UnavailableError("the tests run in a container of this Docker engine")


class ContainerServer:
    """A server in a container of its own."""

    def __init__(self, order: Order) -> None:
        # Waiting for a container's end takes as long as it takes.
        self.client = engine(timeout_s=None)
        self.bound_to, host = reach(self.client)
        self.order = replace(order, host=host)
        self.container: Any = None

    def start(self) -> str:
        """Start the container, making it the first time, and return the server's version once it serves.

        Raises:
            UnavailableError: No image, or it did not start.
        """
        remembered = self.order.directory / ID
        try:
            if remembered.exists():
                self.container = self.client.containers.get(remembered.read_text(encoding="ascii"))
                self.container.start()
            else:
                sweep_once(self.order.session)
                self.container = self._make()
                remembered.write_text(self.container.id, encoding="ascii")
            return ready.version_of(self.order, self._has_ended, timeout_s=START_S)
        except TimeoutError as problem:
            log = self.container.logs(tail=5).decode(errors="replace")
            raise UnavailableError(f"{problem}; its log ends: {_short(Exception(log))}") from None
        except DockerException as problem:
            raise UnavailableError(f"{IMAGES[self.order.kind]}: {_short(problem)}") from None

    def wait(self) -> None:
        """Return when the container has ended, or its engine."""
        with suppress(DockerException, OSError):
            self.container.wait()

    def stop(self, *, is_crash: bool = False) -> None:
        """End the container; its data stay."""
        if self.container is None:
            return
        with suppress(APIError):
            if is_crash:
                self.container.kill()
                self.container.wait()
            else:
                self.container.stop(timeout=STOP_S)

    def discard(self) -> None:
        """Remove the container and all that it had."""
        if self.container is not None:
            with suppress(DockerException):
                self.container.remove(force=True, v=True)
        self.client.close()
        shutil.rmtree(self.order.directory, ignore_errors=True)

    def _has_ended(self) -> bool:
        self.container.reload()
        return self.container.status not in {"created", "running"}

    def _make(self) -> Any:
        order = self.order
        refuse_own_engine(self.client)
        find_image(self.client, IMAGES[order.kind])
        made = DockerContainer(IMAGES[order.kind])
        made.with_kwargs(
            labels={SESSION_LABEL: str(order.session), HOST_LABEL: socket.gethostname()},
            hostname="baton",
            shm_size="256m",
        )
        made.ports = {
            inner: (self.bound_to, outer) for inner, outer in zip(INNER_PORTS[order.kind], order.ports, strict=False)
        }
        if order.is_shared:
            # Nobody stops a shared server, which would lose what is in memory.
            made.tmpfs = {DATA[order.kind]: ""}
        if order.kind == "postgres":
            made.with_envs(POSTGRES_USER=USER, POSTGRES_PASSWORD=order.password, POSTGRES_DB="postgres")
            made.with_command(["postgres", "-c", "max_connections=300"])
        else:
            made.with_envs(RABBITMQ_DEFAULT_USER=USER, RABBITMQ_DEFAULT_PASS=order.password)
        made.start()
        return made.get_wrapped_container()


def run_inside(place: Path, *command: str) -> tuple[int, str]:
    """Run a command in the container of the server in `place`; return its code and what it printed."""
    with closing(engine(timeout_s=120)) as client:
        container = client.containers.get((place / ID).read_text(encoding="ascii"))
        code, printed = container.exec_run(list(command))
        return int(code), printed.decode(errors="replace")


def remove(place: Path) -> None:
    """Remove the container of the server in `place`, which has no keeper any more."""
    with closing(engine(timeout_s=120)) as client, suppress(NotFound):
        client.containers.get((place / ID).read_text(encoding="ascii")).remove(force=True, v=True)


def sweep_once(session: Path) -> None:
    """Remove what killed sessions left, the first time that a session asks."""
    with locked(session / "sweep.lock"):
        swept = session / "swept"
        if not swept.exists():
            sweep()
            swept.touch()


def sweep(session: Path | None = None) -> None:
    """Remove the containers of a session, or (None) of all sessions of this host that are over."""
    with suppress(UnavailableError, DockerException, OSError), closing(engine()) as client:
        wanted = {"label": [f"{HOST_LABEL}={socket.gethostname()}"]}
        for container in client.containers.list(all=True, filters=wanted):
            owner = Path(container.labels.get(SESSION_LABEL, ""))
            if owner == session or (session is None and not is_held(owner / "alive")):
                with suppress(DockerException):
                    container.remove(force=True, v=True)
