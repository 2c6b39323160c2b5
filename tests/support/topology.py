"""`baton topology` against one vhost of a real RabbitMQ, and users that are taken away again."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from tests.support.cli import Cli, Done
from tests.support.servers.handles import RabbitServer

TEAM = "tests.integration.topology_team:team"


@dataclass(frozen=True)
class Topology:
    """Commands on one vhost."""

    server: RabbitServer
    url: str
    directory: Path
    prefix: str
    """Begins the names of this test's users: users are the node's, and tests share it."""

    @property
    def vhost(self) -> str:
        """The vhost's name."""
        return urlsplit(self.url).path[1:]

    @property
    def passwords(self) -> Path:
        """Where this test's passwords are."""
        return self.directory / "passwords"

    async def __call__(self, *args: str, team: str = TEAM, **env: str) -> Done:
        """Run `baton topology …`."""
        given = {
            "BATON_BROKER_URL": self.url,
            "BATON_MANAGEMENT_URL": self.server.management_url,
            "BATON_JOURNAL_URL": f"sqlite:///{self.directory / 'journal.db'}",
        }
        team_args = ("--team", team) if team else ()
        return await asyncio.to_thread(Cli(self.directory), "topology", *args, *team_args, **given | env)

    async def permit(self, *args: str, team: str = TEAM, **env: str) -> Done:
        """Run `baton topology permissions --apply` for this test's users."""
        where = ("--passwords", str(self.passwords), "--prefix", self.prefix)
        return await self("permissions", "--apply", *where, *args, team=team, **env)

    def as_user(self, service: str) -> str:
        """Return the URL with which a service connects."""
        user = self.prefix + service
        parts = urlsplit(self.url)
        account = f"{user}:{quote((self.passwords / user).read_text().strip(), safe='')}"
        return urlunsplit(parts._replace(netloc=f"{account}@{parts.hostname}:{parts.port}"))

    def api(self, method: str, path: str, body: object = None) -> Any:
        """Call the management API; `{vhost}` in the path is this test's."""
        return self.server.api(method, path.format(vhost=self.vhost), body)

    def forget_users(self) -> None:
        """Delete the users of this test."""
        for user in self.api("GET", "users"):
            if user["name"].startswith(self.prefix):
                self.api("DELETE", f"users/{user['name']}")
