"""The benchmark itself, in its shortest form: both relays work, are counted, and refuse what is not theirs."""

import dataclasses
import json
from pathlib import Path

import pytest

from baton import Agent, Answer, Team, Turn
from baton.bench import services, stages
from baton.bench.processes import PROCESSES, Servers
from baton.bench.services import Plan
from baton.config import Settings
from baton.errors import ConfigError
from baton.service import serving
from tests.bench import comparing, filling, report
from tests.support.cli import Cli
from tests.support.rabbitmq import declare
from tests.support.servers.handles import RabbitServer

SHORT = Plan(window=4, seconds=0.5, rate=10, rate_seconds=0.5, warm_up=2)

PATIENCE_S = 100.0
"""Five processes start, on a machine that runs other tests."""

pytestmark = pytest.mark.slow


@pytest.fixture
def servers(amqp_server: RabbitServer, amqp_url: str, postgres_url: str) -> Servers:
    return Servers(amqp_url, postgres_url, amqp_server.management_url)


async def test_raw_and_baton_lose_nothing_and_fill_a_table(servers: Servers) -> None:
    rows = [await comparing.measured(name, servers, SHORT) for name in comparing.CONTESTANTS]
    for row in rows:
        full, steady = row.measured.full, row.measured.steady
        assert steady is not None
        assert (row.measured.lost, steady.runs) == (0, 5)
        assert full.runs > 0
        assert full.cpu_s_per_1000_hops["agents"] > 0
    lines = report.table(rows).splitlines()
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:]] == list(comparing.CONTESTANTS)
    assert "× raw" in report.ratios(rows)


async def test_a_filled_journal_has_copies_of_a_finished_run_and_works_on(servers: Servers) -> None:
    await services.relay(servers, SHORT)
    before = await filling.finished(servers.journal_url)
    await filling.fill(servers.journal_url, 7)
    assert await filling.finished(servers.journal_url) == before + 7
    again = await services.relay(servers, dataclasses.replace(SHORT, rate_seconds=0))
    assert (again.lost, again.steady) == (0, None)


def test_the_command_prints_figures_and_a_profile(servers: Servers, tmp_path: Path) -> None:
    where = ("--broker", servers.broker_url, "--journal", servers.journal_url)
    short = ("--management", str(servers.management_url), "--seconds", "1", "--rate", "0", "--window", "4")
    with Cli(tmp_path).process("bench", "relay", *where, *short, "--profile", "stage-1") as process:
        try:
            out, err = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    assert process.returncode == 0, err
    assert "window full" in out
    assert "router" in out
    assert "stage-1:" in out
    refused = Cli(tmp_path).run("bench", "relay", *where, *short, "--profile", "stage-9")
    assert refused.code == 2
    assert f"there are {', '.join(PROCESSES)}" in refused.err


def test_the_command_wants_both_urls(tmp_path: Path) -> None:
    refused = Cli(tmp_path).run("bench", "relay", "--broker", "amqp://localhost")
    assert (refused.code, refused.out) == (2, "")
    assert "--broker and --journal go together" in refused.err


async def test_a_journal_of_another_team_is_refused(servers: Servers) -> None:
    other = Agent("other", "Of another team")

    @other.turn
    async def take(turn: Turn) -> Answer:
        return Answer("x")

    await services.prepare(servers)
    settings = Settings(broker_url=servers.broker_url, journal_url=servers.journal_url)
    async with serving(Team("others", agents=[other]), settings):
        pass
    with pytest.raises(ConfigError, match="agents of another team: other"):
        await services.relay(servers, SHORT)


async def test_a_vhost_of_another_team_is_refused(servers: Servers) -> None:
    await declare(servers.broker_url, "other")
    with pytest.raises(ConfigError, match=r"baton\.agent\.other.*give it an empty one"):
        await services.relay(servers, SHORT)


def test_raw_checks_that_every_stage_did_its_work_in_order() -> None:
    from tests.bench import raw

    fields = raw.envelope("r")
    body = json.dumps(fields).encode()
    for stage in range(1, stages.STAGES + 1):
        body = raw.worked_on(body, stage)
    assert raw.is_right(json.loads(body), "r")
    assert not raw.is_right(json.loads(body), "other")
    assert not raw.is_right(json.loads(raw.worked_on(body, 5)), "r")
