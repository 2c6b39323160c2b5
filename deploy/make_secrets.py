"""Write the secrets of docker-compose.yml, once: random passwords, and the URLs that hold them.

In: the services' folders, which name the agents. Out: files in deploy/secrets, or in the directory named;
those that are there stay. Needs nothing but Python; an older one will do.
"""

import secrets
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DEFAULT = ROOT / "deploy" / "secrets"
PASSWORD_BYTES = 24
ADMIN = "admin"


def agents() -> list[str]:
    return sorted(path.parent.name for path in ROOT.glob("services/*/agent.py"))


class Secrets:
    """A directory of secrets: what is missing is made, what is there is kept."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.made = 0

    def password(self, name: str) -> str:
        """Return the password in a file, making it if there is none."""
        path = self.directory / name
        return path.read_text().strip() if path.exists() else self.write(name, secrets.token_urlsafe(PASSWORD_BYTES))

    def write(self, name: str, text: str) -> str:
        """Write `text` to a file, unless it holds it already, and return it."""
        path = self.directory / name
        if not path.exists() or path.read_text() != f"{text}\n":
            path.write_text(f"{text}\n")
            # A container's user reads it through a bind mount; on the host the directory keeps others out.
            path.chmod(0o644)
            self.made += 1
        return text


def write_all(directory: Path) -> int:
    """Make what is missing in `directory` and return the number of files written."""
    users = directory / "amqp_users"
    users.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    users.chmod(0o755)
    kept = Secrets(directory)

    kept.password("postgres_password")
    journal, bank = kept.password("journal_password"), kept.password("bank_password")
    kept.write("journal_url", f"postgresql://baton:{journal}@postgres:5432/baton")
    kept.write("bank_url", f"postgresql://bank:{bank}@postgres:5432/baton")

    admin = kept.password("rabbitmq_password")
    kept.write("rabbitmq_admin.conf", f"default_user = {ADMIN}\ndefault_pass = {admin}")
    kept.write("amqp_admin", f"amqp://{ADMIN}:{admin}@rabbitmq:5672/")
    for service in (*agents(), "router", "client"):
        user = f"baton-{service}"
        password = kept.password(f"amqp_users/{user}")
        kept.write(f"amqp_{service}", f"amqp://{user}:{password}@rabbitmq:5672/")
    return kept.made


def main() -> None:
    directory = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else DEFAULT
    made = write_all(directory)
    if made:
        print(f"secrets: wrote {made} files to {directory}; keep them as long as the volumes")


if __name__ == "__main__":
    main()
