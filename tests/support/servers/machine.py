"""What this machine has: server programs, users to run them as, free ports, and room for their data.

In: the file system. Out: paths and numbers, or `UnavailableError`.
"""

import os
import pwd
import random
import shutil
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.servers.orders import OLDEST, Kind, UnavailableError

PORTS = range(20000, 32000)
"""Below the ports that Linux gives to outgoing connections: one of those could take a stopped server's port."""

ROOM_BYTES = 2 << 30


@dataclass(frozen=True)
class Account:
    """A user of this machine to run a program as."""

    uid: int
    gid: int


def find_rabbitmq() -> Path:
    """Return the directory of `rabbitmq-server` and `rabbitmqctl`.

    Raises:
        UnavailableError: There is none.
    """
    # Debian's programs on the path change the user and know one node only; the real ones are below /usr/lib.
    folders = [Path("/usr/lib/rabbitmq/bin"), Path("/opt/rabbitmq/sbin")]
    on_path = shutil.which("rabbitmq-server")
    if on_path:
        folders.append(Path(on_path).resolve().parent)
    for folder in folders:
        if (folder / "rabbitmq-server").is_file():
            find_epmd()
            return folder
    raise UnavailableError("no rabbitmq-server found")


def find_epmd() -> Path:
    """Return Erlang's port mapper.

    Raises:
        UnavailableError: There is none.
    """
    on_path = shutil.which("epmd")
    found = [Path(on_path)] if on_path else sorted(Path("/usr/lib/erlang").glob("erts-*/bin/epmd"))
    if not found:
        raise UnavailableError("rabbitmq-server found, but no epmd")
    return found[-1]


def find_postgres() -> Path:
    """Return the directory of the newest `initdb` and `postgres`.

    Raises:
        UnavailableError: There is none that is new enough.
    """
    installed = {
        int(folder.parent.name): folder
        for folder in Path("/usr/lib/postgresql").glob("*/bin")
        if folder.parent.name.isdigit() and (folder / "initdb").exists() and (folder / "postgres").exists()
    }
    if installed and max(installed) >= OLDEST["postgres"][0]:
        return installed[max(installed)]
    on_path = shutil.which("initdb")
    if on_path and (Path(on_path).resolve().parent / "postgres").exists():
        return Path(on_path).resolve().parent
    if installed:
        raise UnavailableError(f"only PostgreSQL {max(installed)} found; {OLDEST['postgres'][0]} or newer is needed")
    raise UnavailableError("no postgres found")


def find(kind: Kind) -> Path:
    """Return the directory of a server's programs.

    Raises:
        UnavailableError: There are none.
    """
    return find_rabbitmq() if kind == "rabbitmq" else find_postgres()


def account_for(kind: Kind) -> Account | None:
    """Return the user that the distribution made for a server; None to run it as who we are.

    Raises:
        UnavailableError: We are root, which PostgreSQL refuses, and there is no other user for it.
    """
    if os.geteuid() != 0:
        return None
    for name in (kind, "nobody") if kind == "postgres" else (kind,):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    if kind == "postgres":
        raise UnavailableError("postgres refuses to run as root, and there is no user postgres")
    return None


def free_ports(count: int) -> tuple[int, ...]:
    """Return ports of 127.0.0.1 that nobody listens on."""
    found: list[int] = []
    for port in random.sample(PORTS, 2000):
        if len(found) == count:
            break
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
    return tuple(found)


def places() -> list[Path]:
    """Return where sessions may keep their data, the best first: in memory if there is room."""
    temporary = Path(tempfile.gettempdir())
    memory = Path("/dev/shm")
    if sys.platform == "linux" and os.access(memory, os.W_OK):
        free = os.statvfs(memory)
        ordered = [memory, temporary] if free.f_bavail * free.f_frsize >= ROOM_BYTES else [temporary, memory]
        return list(dict.fromkeys(ordered))
    return [temporary]
