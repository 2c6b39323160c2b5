"""`make chaos`: every fault in full, on servers of our own, and a report.

    python -m tests.e2e.faults [--only NAME]… [--seed N] [--short] [--json FILE]

In: RabbitMQ and PostgreSQL from the sources of the tests. Out: a table; exit code 1 where a guarantee was broken.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.faults import catalogue, servers_trials
from tests.e2e.faults.catalogue import Place, Servers, Trial
from tests.e2e.faults.report import Row, table
from tests.support.servers.handles import PostgresServer, RabbitServer
from tests.support.servers.sharing import Session

SEED = 20_241_123
TRIALS = (*catalogue.TRIALS, *servers_trials.TRIALS)


def main(arguments: Sequence[str]) -> int:
    """Run what is asked for and print the report."""
    given = _parser().parse_args(arguments)
    names = [name.lower() for name in given.only]
    chosen = [trial for trial in TRIALS if not names or any(name in trial.name.lower() for name in names)]
    if not chosen:
        told = "; ".join(trial.name for trial in TRIALS)
        print(f"no fault is called {', '.join(given.only)}; there are: {told}", file=sys.stderr)
        return 2
    session = Session.begin()
    try:
        servers = _servers(session)
        if servers is None:
            return 2
        rows = _run_all(chosen, servers, given)
    finally:
        session.end()
    print(f"\n{table(rows)}\nseed {given.seed}; {servers.rabbit.record}, {servers.postgres.record}")
    if given.json:
        told = {"seed": given.seed, "is_full": not given.short, "rows": [row.as_json() for row in rows]}
        Path(given.json).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return 0 if all(row.is_well for row in rows) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make chaos", description="Inject every fault and report what came of it.")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="a part of a fault's name; again")
    parser.add_argument("--seed", type=int, default=SEED, help="of all that is random (default: %(default)s)")
    parser.add_argument("--short", action="store_true", help="as few runs and faults as `make test` has")
    parser.add_argument("--json", metavar="FILE", help="write the report there, too")
    return parser


def _servers(session: Session) -> Servers | None:
    """Return servers to harm; None: a kind cannot be had here, which is printed."""
    records = [session.obtain(kind, os.environ, print, is_own=True) for kind in ("rabbitmq", "postgres")]
    if missing := [record for record in records if record.is_missing]:
        print(*missing, sep="\n", file=sys.stderr)
        return None
    print(*records, sep=", ", flush=True)
    return Servers(RabbitServer(records[0]), PostgresServer(records[1]))


def _run_all(chosen: Sequence[Trial], servers: Servers, given: argparse.Namespace) -> list[Row]:
    folder = Path(tempfile.mkdtemp(prefix="baton-chaos-"))
    print(f"logs of the services: {folder}")
    rows = []
    for trial in chosen:
        print(f"{trial.name} …", flush=True)
        rows.append(_run(trial, servers, folder, given))
        print(table(rows[-1:]).splitlines()[2], *rows[-1].problems, rows[-1].notes, sep="\n", flush=True)
    return rows


def _run(trial: Trial, servers: Servers, folder: Path, given: argparse.Namespace) -> Row:
    began = time.monotonic()

    async def tried(place: Place) -> Row:
        async with trial.opens(place, given.seed, is_full=not given.short) as arena:
            verdict = await trial.fault(arena)
            return Row.of(trial.name, verdict, took_s=time.monotonic() - began)

    try:
        with Place(servers, folder) as place:
            return asyncio.run(tried(place))
    except Exception as error:
        return Row.broken(trial.name, error, took_s=time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
