"""What commands say of a classifier of a team's own that cannot be used, of the settings, and of who lives."""

import asyncio
import json
from pathlib import Path

import pytest

from baton.journal.sqlite.journal import SqliteJournal
from tests.support.cli import Cli

TEAM = """
from baton import Agent, RouteDecision, Team

one, two = Agent("one", "First"), Agent("two", "Second")
one.turn(lambda turn: None)
two.turn(lambda turn: None)


class Own:
    def classify(self, text, cards):
        {body}


team = Team("odd", agents=[one, two], fallback="human", classifier=Own())
"""


def odd(cli: Cli, body: str) -> tuple[str, str]:
    (cli.directory / "odd_team.py").write_text(TEAM.format(body=body), encoding="utf-8")
    return "--team", "odd_team.py"


def rows(cli: Cli) -> str:
    lines = [{"text": f"{agent} {number}", "agent": agent} for agent in ("one", "two") for number in range(6)]
    (cli.directory / "rows.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return "rows.jsonl"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("raise ValueError('boom')", "ValueError: boom"),
        ("return None", "the classifier returned NoneType; a RouteDecision is needed"),
    ],
)
def test_a_classifier_that_fails_is_told_without_a_trace(cli: Cli, body: str, problem: str) -> None:
    team = odd(cli, body)
    for command in (("route", "hello", *team), ("eval", "routing", rows(cli), *team)):
        done = cli(*command)
        assert (done.code, done.out) == (2, "")
        assert problem in done.err


@pytest.mark.parametrize(
    ("returned", "note"),
    [
        ("'one', None, float('nan'), None, 0.0, 'own'", "returned nan for a number from 0 to 1"),
        ("'three', None, 0.9, None, 0.0, 'own', best='three'", "chose 'three', which is not to choose from"),
    ],
)
def test_a_choice_that_cannot_be_meant_is_nobodys_as_in_the_router(cli: Cli, returned: str, note: str) -> None:
    found = cli("route", "hello", *odd(cli, f"return RouteDecision({returned})"), "--json").object
    assert (found["agent"], found["how"]) == ("human", "fallback")
    assert found["note"].endswith(note)


def test_evaluations_go_by_the_settings(cli: Cli) -> None:
    command = ("eval", "routing", rows(cli), "--labels", rows(cli), "--json")
    assert cli(*command, BATON_ENCODER="none").object["method"] == "lexical"
    wrong = cli(*command, BATON_ENCODER="foo")
    assert (wrong.code, wrong.out) == (2, "")
    assert "BATON_ENCODER is 'foo'" in wrong.err


def test_what_was_seen_is_told_in_brief(cli: Cli) -> None:
    (cli.directory / "long.jsonl").write_text(json.dumps({"text": ["x" * 100_000], "agent": "one"}), encoding="utf-8")
    done = cli("eval", "routing", "long.jsonl", "--labels", rows(cli))
    assert done.code == 2
    assert "'text' is ['xxx" in done.err
    assert len(done.err) < 1_000


def test_a_route_says_who_has_no_live_replica(cli: Cli, tmp_path: Path) -> None:
    from baton import Card

    async def make() -> None:
        path = cli.directory / ".baton" / "journal.db"
        path.parent.mkdir(exist_ok=True)
        journal = SqliteJournal(path)
        await journal.start(serves=False)
        for name, examples in (
            ("cards", ("my card was stolen", "I lost my card", "block my card")),
            ("garden", ("water my tulips", "my roses are dry", "cut the hedge")),
        ):
            await journal.register(Card(name=name, description=name, examples=examples))
        await journal.beat("somebody", ["garden"])
        await journal.close()

    asyncio.run(make())
    found = cli("route", "I lost my card", "--json").object
    assert found["agent"] == "cards"
    assert "cards has no live replica and nobody else fits" in found["reason"]
    assert "no live replica" not in cli("route", "water my roses", "--json").object["reason"]
