"""Server programs of this machine as processes that do not outlive their keeper.

In: an `Order`. Out: a running `LocalServer`, ready for clients.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support.servers import machine, ready
from tests.support.servers.locks import wait_until
from tests.support.servers.machine import Account
from tests.support.servers.orders import USER, Order, UnavailableError

START_S = 60.0
STOP_S = 30.0


def dies_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """Return what makes the kernel send `number` to a child when its parent is gone, however that ended."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    set_parent_death_signal = 1
    return lambda: libc.prctl(set_parent_death_signal, int(number))


class LocalServer:
    """A server program, its data and its log, all in the order's directory."""

    stop_signal = signal.SIGTERM
    crash_signal = signal.SIGKILL

    def __init__(self, order: Order) -> None:
        self.order = order
        self.programs = machine.find(order.kind)
        self.account = machine.account_for(order.kind)
        self.started: list[subprocess.Popen[bytes]] = []

    def prepare(self) -> None:
        """Write what the program reads; called before every start."""
        raise NotImplementedError

    def launch(self) -> None:
        """Start the program, as the last of `started`."""
        raise NotImplementedError

    def start(self) -> str:
        """Start the server and return its version once it serves.

        Raises:
            UnavailableError: It did not start; with the end of its log.
        """
        self.prepare()
        try:
            self.launch()
            return ready.version_of(self.order, self.has_ended, timeout_s=START_S)
        except TimeoutError as problem:
            raise UnavailableError(f"{problem}; its log ends: {self.log_end()}") from None

    def has_ended(self) -> bool:
        """Return True once the program is gone."""
        return self.started[-1].poll() is not None

    def wait(self) -> None:
        """Return when the program has ended."""
        self.started[-1].wait()

    def stop(self, *, is_crash: bool = False) -> None:
        """End the server; its data stay."""
        number = self.crash_signal if is_crash else self.stop_signal
        for process in reversed(self.started):
            with suppress(ProcessLookupError):
                process.send_signal(number)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            number = signal.SIGTERM

    def discard(self) -> None:
        """End the server at once and remove all that it had."""
        self.stop(is_crash=True)
        shutil.rmtree(self.order.directory, ignore_errors=True)

    def log_end(self) -> str:
        """Return the last lines that the program wrote."""
        path = self.order.directory / "out.log"
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else []
        return " | ".join(line.strip() for line in lines if line.strip())[-600:] or "nothing"

    def own(self, *paths: Path) -> None:
        """Give `paths` to the program's user."""
        for path in paths:
            if self.account:
                os.chown(path, self.account.uid, self.account.gid)

    def spawn(self, command: Sequence[str | Path], env: Mapping[str, str], death: signal.Signals) -> None:
        """Start a program as the server's user; what it prints goes to the log."""
        with (self.order.directory / "out.log").open("ab") as log:
            self.started.append(
                subprocess.Popen(
                    [str(part) for part in command],
                    cwd=self.order.directory,
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    preexec_fn=dies_with_parent(death),  # noqa: PLW1509  # sets one signal and nothing else
                    **as_account(self.account),
                )
            )


def as_account(account: Account | None) -> dict[str, Any]:
    """Return the arguments of `subprocess` that run a program as `account`."""
    return {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}


class LocalRabbit(LocalServer):
    """A RabbitMQ node with the management plugin and a port mapper of its own."""

    def prepare(self) -> None:
        """See `LocalServer.prepare`."""
        place = self.order.directory
        amqp, management, *_ = self.order.ports
        settings = {
            "listeners.tcp.1": f"127.0.0.1:{amqp}",
            "management.tcp.ip": "127.0.0.1",
            "management.tcp.port": management,
            "default_user": USER,
            "default_pass": self.order.password,
            "default_user_tags.administrator": "true",
            "disk_free_limit.absolute": "50MB",
            "log.file.level": "warning",
            "log.console": "false",
        }
        config = place / "rabbitmq.conf"
        config.touch(mode=0o600)
        config.write_text("".join(f"{name} = {value}\n" for name, value in settings.items()), encoding="utf-8")
        plugins = place / "enabled_plugins"
        plugins.write_text("[rabbitmq_management].\n", encoding="utf-8")
        cookie = place / ".erlang.cookie"
        if not cookie.exists():
            cookie.touch(mode=0o600)
            cookie.write_text(self.order.password, encoding="ascii")
            cookie.chmod(0o400)
        self.own(place, config, plugins, cookie)

    def launch(self) -> None:
        """See `LocalServer.launch`."""
        env = rabbit_environment(self.order)
        port_mapper = [machine.find_epmd(), "-address", "127.0.0.1", "-port", str(self.order.ports[3])]
        self.spawn(port_mapper, env, signal.SIGKILL)
        # RabbitMQ would start another one in the background if this one did not answer, and leave it behind.
        wait_until(lambda: ready.is_open(self.order.host, self.order.ports[3]), timeout_s=START_S, what="epmd listens")
        self.spawn([self.programs / "rabbitmq-server"], env, signal.SIGKILL)


def rabbit_environment(order: Order) -> dict[str, str]:
    """Return the environment in which RabbitMQ's programs mean the node of `order` and no other."""
    place = order.directory
    _, _, distribution, port_mapper = order.ports
    local_only = "-kernel inet_dist_use_interface {127,0,0,1}"
    inherited = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return inherited | {
        "HOME": str(place),
        "RABBITMQ_NODENAME": "baton@localhost",
        "RABBITMQ_MNESIA_BASE": str(place / "data"),
        "RABBITMQ_LOG_BASE": str(place / "log"),
        "RABBITMQ_CONFIG_FILE": str(place / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(place / "enabled_plugins"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_PID_FILE": str(place / "pid"),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": local_only,
        "RABBITMQ_CTL_ERL_ARGS": local_only,
        "ERL_EPMD_PORT": str(port_mapper),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_CRASH_DUMP_SECONDS": "0",
        # The start script then becomes the server instead of waiting for it: signals reach the server itself.
        "RUNNING_UNDER_SYSTEMD": "true",
    }


class LocalPostgres(LocalServer):
    """A PostgreSQL cluster."""

    stop_signal = signal.SIGINT
    crash_signal = signal.SIGQUIT

    def prepare(self) -> None:
        """See `LocalServer.prepare`."""
        place = self.order.directory
        self.own(place)
        if (place / "data").exists():
            return
        password = place / "password"
        password.touch(mode=0o600)
        password.write_text(self.order.password + "\n", encoding="ascii")
        self.own(password)
        options = ["-U", USER, "-A", "scram-sha-256", "--pwfile", password, "-E", "UTF8", "--locale", "C", "--no-sync"]
        done = subprocess.run(
            [str(part) for part in (self.programs / "initdb", "-D", place / "data", *options)],
            cwd=place,
            check=False,
            capture_output=True,
            text=True,
            **as_account(self.account),
        )
        password.unlink()
        if done.returncode:
            raise UnavailableError(f"initdb failed: {done.stderr.strip()[-300:]}")

    def launch(self) -> None:
        """See `LocalServer.launch`."""
        place = self.order.directory
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": place,
            "max_connections": 300,
            "log_timezone": "UTC",
            "timezone": "UTC",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [self.programs / "postgres", "-D", place / "data", "-p", str(self.order.ports[0]), *options]
        self.spawn(command, dict(os.environ), signal.SIGQUIT)


LOCAL = {"rabbitmq": LocalRabbit, "postgres": LocalPostgres}
