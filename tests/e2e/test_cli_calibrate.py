"""`eval calibrate`: which threshold it finds, what it says of too few rows, and what storing it changes."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from baton.card import Card
from baton.journal.sqlite.journal import SqliteJournal
from baton.routing import offline
from baton.routing.card_set import card_set_hash
from baton.routing.stored_threshold import StoredThreshold
from baton.testing import serve
from tests.e2e.told_team import MODEL, team
from tests.support.cli import Cli
from tests.support.waiting import until

TEAM = ("--team", str(Path(__file__).parent / "told_team.py"))
CARDS = card_set_hash(card for card in team.cards() if card.entry)
OWN = [(f"cards 0.{40 + n} own", "cards") for n in range(30)]
FOREIGN = [(f"cards 0.{20 + n} foreign", "oos") for n in range(10)]
BETWEEN = "cards 0.45 later"
"""Below the threshold of the cards, 0.5, and above the one that the rows give, 0.4."""


def write(cli: Cli, rows: list[tuple[str, str]]) -> str:
    lines = [json.dumps({"text": text, "intent": agent, "agent": agent}) for text, agent in rows]
    (cli.directory / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return "rows.jsonl"


def stored(cli: Cli) -> StoredThreshold | None:
    async def read() -> StoredThreshold | None:
        journal = SqliteJournal(cli.directory / ".baton" / "journal.db")
        await journal.start(serves=False)
        try:
            return (await journal.registry()).threshold
        finally:
            await journal.close()

    return asyncio.run(read())


async def keep(path: Path, threshold: StoredThreshold) -> None:
    journal = SqliteJournal(path)
    await journal.start(serves=False)
    try:
        await journal.calibrate(threshold)
    finally:
        await journal.close()


@pytest.fixture
def journal(cli: Cli) -> Path:
    """The file that commands find: it has the team's cards, and a run for `cards`."""
    path = cli.directory / ".baton" / "journal.db"

    async def make() -> None:
        async with serve(team, journal=path) as served:
            await served.send("cards 0.99 all about cards")

    asyncio.run(make())
    return path


def test_the_proposed_threshold_is_shown_beside_that_of_the_cards(cli: Cli) -> None:
    rows = write(cli, [*OWN, *FOREIGN])
    found = cli("eval", "calibrate", rows, *TEAM, "--json").object
    assert (found["n"], found["n_oos"], found["left_out"], found["foreign_from"]) == (40, 10, 0, "rows")
    assert (found["model"], found["applied"]) == (MODEL, False)
    assert found["thresholds"]["cards"]["threshold"] == 0.5
    assert found["thresholds"]["proposed"] == {
        "threshold": 0.4,
        "coverage": 0.75,
        "right_of_answered": 1.0,
        "answered_accuracy": 1.0,
        "oos_recall": 1.0,
    }
    page = cli("eval", "calibrate", rows, *TEAM).out
    assert "40 rows of 'rows.jsonl', 10 of them out of scope" in page
    shown = [line.split() for line in page.splitlines()]
    assert ["cards", "0.500", "50.0", "100.0", "66.7", "100.0"] in shown
    assert ["proposed", "0.400", "75.0", "100.0", "100.0", "100.0"] in shown
    assert "the same command with --apply stores the proposed one" in page


def test_rows_that_are_examples_of_a_card_are_left_out(cli: Cli) -> None:
    rows = write(cli, [*OWN, *FOREIGN, ("Cards  0.99 an EXAMPLE", "cards")])
    found = cli("eval", "calibrate", rows, *TEAM, "--json").object
    assert (found["n"], found["left_out"]) == (40, 1)


def test_rows_of_a_file_that_a_pattern_takes_are_left_out(cli: Cli) -> None:
    rows = write(cli, [*OWN, *FOREIGN, ("rule 0.99 loans", "loans")])
    found = cli("eval", "calibrate", rows, *TEAM, "--json").object
    assert (found["n"], found["left_out"]) == (40, 1)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (OWN[:29] + FOREIGN, "29 labelled rows of agents in 'rows.jsonl'; at least 30 are needed"),
        (OWN + FOREIGN[:9], "9 rows out of scope; at least 10 are needed with a classifier of one's own"),
        ([*OWN, ("cards 0.5", "stranger")], "'stranger' is none of the agents cards, loans"),
    ],
)
def test_too_few_rows_or_wrong_ones_are_exit_code_2(cli: Cli, rows: list[tuple[str, str]], told: str) -> None:
    done = cli("eval", "calibrate", write(cli, rows), *TEAM)
    assert (done.code, done.out) == (2, "")
    assert told in done.err


def test_without_rows_out_of_scope_the_cards_tell_what_foreign_requests_score(cli: Cli, journal: Path) -> None:
    rows = write(cli, [(f"all about cards, please, {n}", "cards") for n in range(30)])
    found = cli("eval", "calibrate", rows, "--json").object
    assert (found["foreign_from"], found["n_oos"], found["thresholds"]["proposed"]["oos_recall"]) == ("cards", 0, None)
    assert found["thresholds"]["proposed"]["coverage"] >= 0.9
    page = cli("eval", "calibrate", rows).out
    assert "0 rows out of scope, fewer than 10: the cards themselves tell what foreign requests score" in page


def test_applying_stores_it_with_the_cards_and_forgetting_removes_it(cli: Cli, journal: Path) -> None:
    rows = write(cli, [*OWN, *FOREIGN])
    done = cli("eval", "calibrate", rows, *TEAM, "--apply")
    assert (done.code, done.err) == (0, "")
    assert "stored: routers use it within a second" in done.out
    assert stored(cli) == StoredThreshold(CARDS, MODEL, 0.4)
    examined = " ".join(cli("doctor").out.split())
    assert f"0.4 from labelled traffic, found with {MODEL}" in examined
    assert f"found with {MODEL};" not in examined
    done = cli("eval", "calibrate", *TEAM, "--forget")
    assert (done.code, done.out) == (0, f"forgotten: 0.400, of {MODEL}\n")
    assert stored(cli) is None
    assert cli("eval", "calibrate", "--forget").out == "none was stored\n"
    assert cli("eval", "calibrate", "--forget", "--json").object == {"forgotten": None}


@pytest.mark.parametrize("extra", ["rows.jsonl", "--apply"])
def test_forgetting_goes_with_nothing_else(cli: Cli, journal: Path, extra: str) -> None:
    done = cli("eval", "calibrate", extra, "--forget")
    assert done.code == 2
    assert "--forget goes with neither FILE nor --apply" in done.err


def test_what_was_found_with_other_cards_is_not_used_and_route_and_doctor_say_so(cli: Cli, journal: Path) -> None:
    text = "all about cards, please"
    plain = cli("route", text, "--json").object
    assert plain["threshold_from"] == "cards"
    assert cli("eval", "replay", "--json").object["changed"] == 0
    assert "threshold   from the cards\n" in cli("route", text).out

    asyncio.run(keep(journal, StoredThreshold("5f" * 32, "lexical/2/of-before", 0.999)))
    assert cli("route", text, "--json").object == plain
    told = "from the cards; 0.999 from labelled traffic is not used: it was found with lexical/2/of-before"
    assert told in " ".join(cli("route", text).out.split())
    assert "not used, since the cards are others now" in " ".join(cli("doctor").out.split())

    asyncio.run(keep(journal, StoredThreshold(CARDS, plain["model"], 0.999)))
    now = cli("route", text, "--json").object
    assert (now["how"], now["threshold"], now["threshold_from"]) == ("fallback", 0.999, "traffic")
    assert "from labelled traffic\n" in cli("route", text).out
    assert "not used" not in cli("doctor").out
    assert "not used, since the model is another now" in " ".join(cli("doctor", BATON_ENCODER="none").out.split())
    [change] = cli("eval", "replay", "--json").object["changes"]
    assert (change["from"], change["to"]) == ("cards", "nobody")

    encoder, _, cards = plain["model"].split("/")
    asyncio.run(keep(journal, StoredThreshold(CARDS, f"{encoder}/1/{cards}", 0.999)))
    assert "not used, since the model is another now" in " ".join(cli("doctor").out.split())


def test_what_was_found_by_words_is_used_where_the_cards_are_too_many_for_the_model(
    cli: Cli, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offline, "ENCODED_TEXTS", 0)
    model = cli("route", "all about cards, please", "--json").object["model"]
    assert model.startswith("lexical/")
    asyncio.run(keep(journal, StoredThreshold(CARDS, model, 0.999)))
    assert "not used" not in cli("doctor").out


async def test_the_running_router_follows_what_is_stored(
    cli: Cli, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = cli.directory / ".baton" / "journal.db"
    async with serve(team, journal=path) as served:

        async def placed(text: str) -> dict[str, Any]:
            run = await served.send(text)
            [event] = [one for one in await served.journal.events(run.run_id) if one.type == "routed"]
            return {name: event.data[name] for name in ("agent", "how", "threshold")}

        def threshold() -> float | None:
            kept = served.service._graph.threshold
            return kept and kept.value

        labelled = [(text, agent if agent == "cards" else "nobody") for text, agent in [*OWN, *FOREIGN]]
        for text, agent in labelled:
            await served.journal.label((await served.send(text)).run_id, agent, by="ann")
        for left_out, agent in (
            (await served.send("cards 0.01 addressed", to="cards"), "cards"),
            (await served.send("rule 0.01 that a rule takes"), "cards"),
            (await served.send("cards 0.99 for one that no request goes to"), "vault"),
        ):
            await served.journal.label(left_out.run_id, agent, by="ann")
        before = {"agent": "human", "how": "fallback", "threshold": 0.5}
        assert await placed(BETWEEN) == before
        done = await asyncio.to_thread(cli, "eval", "calibrate", *TEAM, "--apply", "--json")
        assert (done.code, done.object["n"], done.object["left_out"]) == (0, 40, 3)
        assert (done.object["thresholds"]["proposed"]["threshold"], done.object["applied"]) == (0.4, True)
        await until(lambda: threshold() == 0.4)
        assert await placed(BETWEEN) == {"agent": "cards", "how": "classified", "threshold": 0.4}

        await keep(path, StoredThreshold(card_set_hash([Card(name="x", description="x")]), "told/1/else", 0.41))
        await until(lambda: threshold() == 0.41)
        assert [await placed(BETWEEN) for _ in range(2)] == [before, before]
        told = [one.message for one in caplog.records if "labelled traffic is not used" in one.message]
        assert len(told) == 1
        assert (
            f"threshold 0.41 from labelled traffic is not used: it was found with told/1/else, now {MODEL}" in told[0]
        )
        await asyncio.to_thread(cli, "eval", "calibrate", "--forget")
        await until(lambda: threshold() is None)
        assert await placed(BETWEEN) == before
