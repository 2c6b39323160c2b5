"""What processes cost: CPU seconds and memory, from `/proc`.

In: process ids, and the ports of servers on this machine. Out: seconds and MiB for each group of processes.
Linux only; elsewhere groups are empty.
"""

import ipaddress
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

Groups = Mapping[str, Sequence[int]]
"""Processes by what they are; each stands for all that it started, too."""

_PROC = Path("/proc")
_LISTENS = "0A"


@dataclass(frozen=True, slots=True)
class _Process:
    parent: int
    cpu_s: float


def cpu_s(groups: Groups) -> dict[str, float]:
    """Return the CPU seconds that each group has used so far, user and system; those of ended children, too."""
    processes = _processes()
    return {name: sum(processes[pid].cpu_s for pid in pids) for name, pids in _members(groups, processes).items()}


def memory_mib(groups: Groups) -> dict[str, int]:
    """Return the resident memory of each group in MiB; what processes share is counted once."""
    return {name: sum(map(_pss_kib, pids)) // 1024 for name, pids in members(groups).items()}


def members(groups: Groups) -> dict[str, set[int]]:
    """Return the processes of each group with all that they started, unless those are a group's own."""
    return _members(groups, _processes())


def busy_s() -> float:
    """Return the CPU seconds that this machine has used so far, whoever used them."""
    try:
        first = (_PROC / "stat").read_text(encoding="ascii").split("\n", 1)[0].split()
    except OSError:
        return 0.0
    user, nice, system, _, _, irq, soft_irq = map(int, first[1:8])
    return (user + nice + system + irq + soft_irq) / _ticks_per_s()


def server_pids(url: str, *, default_port: int) -> list[int]:
    """Return the processes that serve `url`; none where it is on another machine or in a container."""
    parts = urlsplit(url)
    if not _is_here(parts.hostname or "localhost"):
        return []
    sockets = _listening(parts.port or default_port)
    found = [pid for pid in _pids() if sockets & _sockets_of(pid)]
    processes = _processes()
    return [pid for pid in found if pid in processes and processes[pid].parent not in found and not _is_proxy(pid)]


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_proxy(pid: int) -> bool:
    """Return True for what only forwards to a container."""
    try:
        return "proxy" in (_PROC / str(pid) / "comm").read_text(encoding="utf-8")
    except OSError:
        return False


def _listening(port: int) -> set[str]:
    """Return the sockets that listen on a port, as `/proc/<pid>/fd` names them."""
    found = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = (_PROC / "net" / table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(f"socket:[{fields[9]}]")
    return found


def _sockets_of(pid: int) -> set[str]:
    found = set()
    try:
        for entry in (_PROC / str(pid) / "fd").iterdir():
            found.add(str(entry.readlink()))
    except OSError:  # it has ended, or is not ours to look at
        return found
    return found


def _pids() -> Iterable[int]:
    try:
        return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal()]
    except OSError:
        return []


def _processes() -> dict[int, _Process]:
    found = {}
    for pid in _pids():
        try:
            text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        # The name, in parentheses, may hold anything; the state follows it, then the parent.
        fields = text[text.rindex(")") + 2 :].split()
        found[pid] = _Process(int(fields[1]), sum(map(int, fields[11:15])) / _ticks_per_s())
    return found


def _members(groups: Groups, processes: Mapping[int, _Process]) -> dict[str, set[int]]:
    heads = {pid for pids in groups.values() for pid in pids}
    found = {name: set(pids) & processes.keys() for name, pids in groups.items()}
    for family in found.values():
        while more := {pid for pid, one in processes.items() if one.parent in family} - family - heads:
            family.update(more)
    return found


def _pss_kib(pid: int) -> int:
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _ticks_per_s() -> int:
    return os.sysconf("SC_CLK_TCK")
