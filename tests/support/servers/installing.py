"""Installs a server from the distribution, as root on Debian and its kin, and leaves its service switched off.

In: the kind of server. Out: its programs on this machine, or `UnavailableError`.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.servers.choosing import INSTALL_VARIABLE
from tests.support.servers.locks import locked
from tests.support.servers.orders import Kind, UnavailableError

PACKAGES: dict[Kind, str] = {"rabbitmq": "rabbitmq-server", "postgres": "postgresql"}
SERVICES: dict[Kind, tuple[str, ...]] = {
    "rabbitmq": ("rabbitmq-server.service", "epmd.service", "epmd.socket"),
    "postgres": ("postgresql.service",),
}
INSTALL_S = 900.0

LOCK = Path("/run/baton-tests-install.lock")
POLICY = Path("/usr/sbin/policy-rc.d")
"""Asked by Debian's packages before they start a service; 101 forbids it."""
NO_CLUSTER = Path("/etc/postgresql-common/createcluster.d/baton-tests.conf")
"""Keeps PostgreSQL's package from making a database of its own."""


def install(kind: Kind, announce: Callable[[str], None]) -> None:
    """Install a server's package, unless another session just did.

    Args:
        kind: Of server.
        announce: Is told in one line before anything is changed.

    Raises:
        UnavailableError: Not root, no apt-get, or it failed.
    """
    apt = shutil.which("apt-get")
    if apt is None:
        raise UnavailableError("no apt-get to install it with")
    if os.geteuid() != 0:
        raise UnavailableError("not root, so it is not installed")
    with locked(LOCK):
        package = PACKAGES[kind]
        announce(f"servers: installing {package} with apt-get, its service switched off; {INSTALL_VARIABLE}=0 declines")
        with _files_for_now():
            _run(apt, "-qq", "update")
            _run(apt, "-qq", "-y", "--no-install-recommends", "-oDPkg::Lock::Timeout=120", "install", package)
        for service in SERVICES[kind]:
            _switch_off(service)


def _run(*command: str) -> None:
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command,
            check=False,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_S,
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"{' '.join(command)} took over {INSTALL_S:g} s") from None
    if done.returncode:
        raise UnavailableError(f"{' '.join(command)} failed: {done.stdout.strip()[-300:]}")


@contextmanager
def _files_for_now() -> Iterator[None]:
    """Keep packages from starting servers while they are installed; files that exist stay as they are."""
    wanted = {POLICY: (0o755, "#!/bin/sh\nexit 101\n"), NO_CLUSTER: (0o644, "create_main_cluster = false\n")}
    made: list[Path] = []
    try:
        for path, (mode, text) in wanted.items():
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="ascii")
                path.chmod(mode)
                made.append(path)
        yield
    finally:
        for path in made:
            path.unlink(missing_ok=True)


def _switch_off(service: str) -> None:
    """Keep a service from starting at the next boot."""
    script = service.partition(".")[0]
    for command in (["systemctl", "disable", service], ["update-rc.d", script, "disable"]):
        if shutil.which(command[0]):
            subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True)
