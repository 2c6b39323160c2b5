"""What the processes round a server tell one another, as JSON in the server's directory.

In: the tests' wish for a server. Out: an `Order` for the keeper that runs it, and `Record`s of what runs.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["rabbitmq", "postgres"]
Source = Literal["given", "docker", "found", "installed"]

TITLES: dict[Kind, str] = {"rabbitmq": "RabbitMQ", "postgres": "PostgreSQL"}
OLDEST: dict[Kind, tuple[int, ...]] = {"rabbitmq": (3, 10), "postgres": (15,)}
"""Older ones are not supported by Baton: they count as missing."""

USER = "baton"
"""An administrator of every server that the tests start."""


class UnavailableError(Exception):
    """This source has no server for the tests; the message says why, and the next source is asked."""


@dataclass(frozen=True)
class Order:
    """All that is needed to run a server, again and again on the same data."""

    kind: Kind
    source: Literal["docker", "found"]
    place: str
    """The server's own directory, below the session's."""
    ports: tuple[int, ...]
    """On 127.0.0.1. RabbitMQ: AMQP, management, distribution, epmd. PostgreSQL: one."""
    password: str
    """Of `USER`."""
    is_shared: bool
    """True: many tests use it at once, and none may stop it."""
    host: str = "127.0.0.1"

    @property
    def directory(self) -> Path:
        """The server's own directory."""
        return Path(self.place)

    @property
    def session(self) -> Path:
        """The directory of the test session."""
        return self.directory.parent

    @property
    def url(self) -> str:
        """Where clients connect."""
        scheme, path = {"rabbitmq": ("amqp", ""), "postgres": ("postgresql", "postgres")}[self.kind]
        return f"{scheme}://{USER}:{self.password}@{self.host}:{self.ports[0]}/{path}"

    @property
    def management_url(self) -> str:
        """Where RabbitMQ's management API is."""
        return f"http://{USER}:{self.password}@{self.host}:{self.ports[1]}"

    def write(self) -> None:
        """Keep the order in the server's directory, readable to its owner only."""
        path = self.directory / "order.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, directory: Path) -> "Order":
        """Return the order of the server in `directory`."""
        fields = json.loads((directory / "order.json").read_text(encoding="utf-8"))
        return cls(**fields | {"ports": tuple(fields["ports"])})


@dataclass(frozen=True)
class Record:
    """What the tests of one session use for a kind of server, or why they have none."""

    kind: Kind
    how: str
    """Where it is from, in words; empty if there is none."""
    version: str = ""
    url: str = ""
    management_url: str = ""
    place: str = ""
    """The directory of a server that the tests run; empty for one that was given."""
    is_missing: bool = False
    reason: str = ""
    """Why sources that come earlier, or all of them, have none."""

    def __str__(self) -> str:
        title = TITLES[self.kind]
        return f"no {title} ({self.reason})" if self.is_missing else f"{title} {self.version} ({self.how})"

    def write(self, path: Path) -> None:
        """Keep the record at `path`, complete or not at all."""
        draft = path.with_suffix(".draft")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")
        draft.replace(path)

    @classmethod
    def read(cls, path: Path) -> "Record":
        """Return the record at `path`."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def numbers(version: str) -> tuple[int, ...]:
    """Return a version such as `17.12` or `4.1.0-rc.1` as numbers, up to the first part that is none."""
    found: list[int] = []
    for part in version.split("."):
        if not part.isdigit():
            break
        found.append(int(part))
    return tuple(found)
