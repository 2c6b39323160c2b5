"""What the benchmark measures with: loads, CPU of processes, and where a hop's time goes."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from baton.bench import load, machine, profile, sampler
from baton.errors import BrokerUnavailableError
from tests.support.waiting import until

NEARLY_ALL_S = 0.15
"""Of the CPU time that the burner uses: `/proc` counts in ticks."""

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


async def test_a_full_window_counts_what_was_right_wrong_and_lost() -> None:
    begun = in_flight = most = 0

    async def submit() -> bool:
        nonlocal begun, in_flight, most
        begun, in_flight = begun + 1, in_flight + 1
        number, most = begun, max(most, in_flight)
        done = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.001, done.set_result, None)
        await done
        in_flight -= 1
        if number == 2:
            raise BrokerUnavailableError("gone")
        return number != 3

    found = await load.full(submit, {}, window=4, seconds=0.1, stages=5)
    assert (found.lost, found.wrong, found.runs, most) == (1, 1, begun - 2, 4)
    assert found.hops_per_s == pytest.approx(found.runs * 5 / found.took_s, rel=0.1)
    assert found.p50_ms is not None
    assert found.p50_ms >= 1
    assert list(found.cpu_s_per_1000_hops) == [load.DRIVER]


async def test_a_steady_rate_counts_from_when_a_run_was_due() -> None:
    begun = 0

    async def submit() -> bool:
        nonlocal begun
        begun += 1
        if begun == 1:  # holds up all that are due meanwhile
            held_until_s = time.perf_counter() + 0.1
            while time.perf_counter() < held_until_s:
                pass
        return True

    found = await load.steady(submit, {}, rate=100, seconds=0.1, stages=5)
    assert (found.runs, found.lost) == (10, 0)
    assert found.p50_ms is not None
    assert found.p50_ms >= 40


async def test_a_run_that_does_not_end_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "DRAIN_S", 0.05)

    async def submit() -> bool:
        await asyncio.Event().wait()
        return True

    found = await load.full(submit, {}, window=3, seconds=0.01, stages=5)
    assert (found.runs, found.lost, found.p50_ms) == (0, 3, None)


@pytest.fixture
def burner() -> Iterator[subprocess.Popen[bytes]]:
    """Give a process with a child that uses a fifth of a second of CPU and says so."""
    burn = "import time\nwhile time.process_time() < 0.2: pass\nprint('.', flush=True); time.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b".\n"
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@linux_only
def test_a_group_has_the_cpu_of_what_it_started_unless_that_is_a_group_of_its_own(
    burner: subprocess.Popen[bytes],
) -> None:
    found = machine.cpu_s({"parent": [burner.pid]})
    assert found["parent"] >= NEARLY_ALL_S
    (child,) = machine.members({"parent": [burner.pid]})["parent"] - {burner.pid}
    apart = machine.cpu_s({"parent": [burner.pid], "child": [child]})
    assert apart["child"] >= NEARLY_ALL_S
    assert apart["parent"] < found["parent"]
    assert machine.memory_mib({"parent": [burner.pid]})["parent"] > 1


@linux_only
def test_a_server_is_found_by_its_port_on_this_machine_only() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert os.getpid() in machine.server_pids(f"amqp://u:p@127.0.0.1:{port}/v", default_port=5672)
        assert machine.server_pids("amqp://u:p@localhost/v", default_port=port) != []
        assert machine.server_pids(f"amqp://u:p@192.0.2.1:{port}/v", default_port=5672) == []


def _spin(until_s: float) -> None:
    while time.process_time() < until_s:
        pass


async def test_a_sampled_process_tells_where_it_was(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    kept = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGPROF)}
    try:
        sampler.Sampler(report).arm()
        signal.raise_signal(signal.SIGUSR1)
        _spin(time.process_time() + 0.2)
        signal.raise_signal(signal.SIGUSR2)
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
    await until(report.exists)
    found = profile.read(report, "here", 100)
    assert found.us_per_hop == pytest.approx(2_000, rel=0.5)
    spent = [row for row in found.functions if row.place.endswith(" _spin")]
    assert not spent or spent[0].share > 0.5
    assert any("_spin" in row.place for row in found.lines)


def test_a_profile_counts_for_baton_what_it_calls(tmp_path: Path) -> None:
    ours, theirs = str(Path(profile.__file__)), json.__file__
    report = tmp_path / "report.json"
    counts = {
        "samples": 10,
        "cpu_s": 0.01,
        "own": [[theirs, "loads", 1, 6], [ours, "read", 1, 4]],
        "within": [[ours, "read", 0, 9], [theirs, "loads", 0, 6], ["x.py", "main", 0, 10]],
        "for": [[ours, "read", 2, 10]],
    }
    report.write_text(json.dumps(counts), encoding="utf-8")
    found = profile.read(report, "stage-2", 100)
    assert found.us_per_hop == 100
    assert [(row.place, row.us_per_hop, row.share) for row in found.modules] == [
        ("json", 60.0, 0.6),
        ("baton.bench.profile", 40.0, 0.4),
    ]
    assert [row.us_per_hop for row in found.ours] == [100.0]
    assert [row.place for row in found.functions] == ["baton.bench.profile read", "json loads"]
