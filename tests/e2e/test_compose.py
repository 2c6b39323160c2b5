"""docker-compose.yml says what it should, and the desk runs from it: `up`, a request, three replicas, `down`."""

import json
import os
import shutil
import socket
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest

from services.team import desk
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
PORTS = ("DESK_AMQP_PORT", "DESK_MANAGEMENT_PORT", "DESK_POSTGRES_PORT", "DESK_JAEGER_PORT")
IMAGES = ("rabbitmq:4-management", "postgres:17", "jaegertracing/jaeger:latest", "python:3.13-slim")
UP_S, PULL_S = 900, 300
STOLEN = "my card was stolen and there is a payment I did not make"


@dataclass
class Desk:
    """One project of compose: names, ports and secrets of its own, so it is in nobody's way."""

    secrets: Path
    project: str = field(default_factory=lambda: f"baton-test-{uuid4().hex[:8]}")
    ports: dict[str, int] = field(default_factory=lambda: dict(zip(PORTS, free_ports(len(PORTS)), strict=True)))

    def compose(self, *args: str, stdin: str = "", timeout_s: float = 120) -> str:
        """Run `docker compose` and return what it printed; fail with it if the command failed."""
        mine = {name: str(port) for name, port in self.ports.items()}
        env = {**os.environ, **mine, "DESK_SECRETS": str(self.secrets), "COMPOSE_PROJECT_NAME": self.project}
        env["DESK_TAG"] = "dev"  # whatever the developer's own `.env` says
        command = ["docker", "compose", "--project-directory", str(ROOT), *args]
        done = subprocess.run(
            command, env=env, cwd=ROOT, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False
        )
        assert done.returncode == 0, f"{' '.join(args)}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout

    def config(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.compose("--profile", "cli", "config", "--format", "json"))
        return found

    def management(self, path: str) -> Any:
        """Ask RabbitMQ's management API."""
        password = (self.secrets / "rabbitmq_password").read_text().strip()
        request = Request(f"http://127.0.0.1:{self.ports['DESK_MANAGEMENT_PORT']}/api/{path}")
        request.add_header("Authorization", "Basic " + b64encode(f"admin:{password}".encode()).decode())
        with urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def owners(self, agent: str) -> int:
        """Return how many processes took hops of `agent`, by the journal."""
        query = f"SELECT count(DISTINCT owner) FROM baton.hops WHERE agent = '{agent}'"
        told = self.compose("exec", "-T", "postgres", "psql", "-U", "postgres", "-d", "baton", "-Atc", query)
        return int(told)


def free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def works(*command: str, timeout_s: float = 30) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=timeout_s, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def is_there(image: str) -> bool:
    """Whether the engine has the image; only CI fetches what it has not."""
    if works("docker", "image", "inspect", image):
        return True
    return bool(os.environ.get("CI")) and works("docker", "pull", "--quiet", image, timeout_s=PULL_S)


@pytest.fixture
def project(tmp_path: Path) -> Desk:
    """The project with secrets, nothing started."""
    if not works("docker", "compose", "version"):
        pytest.skip("needs Docker with Compose v2 ('docker compose version' fails)")
    made = Desk(tmp_path / "secrets")
    subprocess.run([sys.executable, ROOT / "deploy" / "make_secrets.py", made.secrets], check=True)
    return made


@pytest.fixture
def engine(project: Desk) -> Iterator[Desk]:
    """The project where an engine has the images; whatever the test started is gone afterwards."""
    if not works("docker", "info"):
        pytest.skip("needs a Docker engine ('docker info' fails)")
    missing = [image for image in IMAGES if not is_there(image)]
    if missing:
        pytest.skip(f"the Docker engine has no image {', '.join(missing)}, and cannot pull it")
    yield project
    project.compose("--profile", "cli", "down", "--volumes", "--remove-orphans", "--timeout", "5")


def test_every_agent_and_the_router_are_services_with_an_account_of_their_own(project: Desk) -> None:
    services = project.config()["services"]
    for name in (*desk.agents, "router"):
        target = "router" if name == "router" else f"services.team:{name}"
        assert services[name]["command"] == ["run", target]
        (broker,) = [one["source"] for one in services[name]["secrets"] if one["target"] == "broker_url"]
        assert broker == f"amqp_{name}"
        assert "healthcheck" in services[name]
    assert services["router"]["environment"].keys() & {"DESK_BANK_URL_FILE"} == set()


def test_ports_are_published_to_this_machine_only_and_images_have_plain_tags(project: Desk) -> None:
    services = project.config()["services"]
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}
    assert sorted(port["target"] for port in published) == [5432, 5672, 15672, 16686]
    assert {service["image"] for service in services.values()} == {*IMAGES[:3], "baton-desk:dev"}
    assert not any("container_name" in service for service in services.values())


def test_every_secret_is_made_once_and_by_nobody_else_readable(project: Desk) -> None:
    files = [Path(secret["file"]) for secret in project.config()["secrets"].values()]
    assert all(file.is_relative_to(project.secrets) and file.read_text().strip() for file in files)
    assert project.secrets.stat().st_mode & 0o777 == 0o700
    before = {path: path.read_text() for path in project.secrets.rglob("*") if path.is_file()}
    subprocess.run([sys.executable, ROOT / "deploy" / "make_secrets.py", project.secrets], check=True)
    assert {path: path.read_text() for path in project.secrets.rglob("*") if path.is_file()} == before
    passwords = [path.read_text() for path in before if "password" in path.name or path.parent.name == "amqp_users"]
    assert len(set(passwords)) == len(passwords) == len(desk.agents) + 2 + 4


@pytest.mark.parametrize(
    ("programs", "told"),
    [((), "needs Docker with Compose v2"), (("docker",), "needs a Docker engine, and none answers")],
)
def test_make_up_without_docker_says_so_in_one_line(tmp_path: Path, programs: tuple[str, ...], told: str) -> None:
    make = shutil.which("make")
    if make is None:
        pytest.skip("needs make")
    for name in programs:
        (tmp_path / name).write_text('#!/bin/sh\n[ "$1" = compose ]\n', encoding="ascii")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{Path(make).parent}" if programs else str(tmp_path)
    done = subprocess.run(
        [make, "SHELL=/bin/sh", "up"], cwd=ROOT, env={"PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert told in done.stderr.splitlines()[0]
    assert len(done.stderr.splitlines()) == 2  # the second is make's own


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_the_desk_runs_as_services(engine: Desk) -> None:
    engine.compose("up", "--detach", "--build", "--wait", timeout_s=UP_S)

    told = engine.compose("run", "--rm", "-T", "cli", "send", STOLEN, "--facts", "customer=tomas", "--json")
    result = json.loads(told)
    assert (result["status"], result["agent"]) == ("completed", "disputes"), result
    assert result["trail"] == ["router", "cards", "disputes"]
    assert "frozen" in result["text"]

    engine.compose("up", "--detach", "--wait", "--no-recreate", "--scale", "cards=3", timeout_s=UP_S)
    hosts = await until(lambda: three_hosts(engine), timeout_s=30, what="three consumers of the queue of cards")
    assert len(hosts) == 3

    requests = [{"text": "how do I unblock my PIN", "to": "cards", "facts": {"customer": "june"}} for _ in range(60)]
    lines = "\n".join(map(json.dumps, requests))
    sent = engine.compose("run", "--rm", "-T", "cli", "send", "--file", "-", "--json", stdin=lines)
    assert [json.loads(line)["status"] for line in sent.splitlines()] == ["completed"] * len(requests)
    assert engine.owners("cards") == 3

    assert engine.compose("exec", "-T", "--index", "1", "cards", "id", "-u").strip() == "10001"
    engine.compose("stop", "cards")
    ended = engine.compose("ps", "--all", "--format", "json", "cards")
    assert [json.loads(line)["ExitCode"] for line in ended.splitlines()] == [0] * 3


def three_hosts(engine: Desk) -> set[str]:
    """Return whence the queue of `cards` is consumed, once that is three times."""
    found = [one for one in engine.management("consumers") if one["queue"]["name"] == "baton.agent.cards"]
    return {one["channel_details"]["peer_host"] for one in found} if len(found) == 3 else set()
