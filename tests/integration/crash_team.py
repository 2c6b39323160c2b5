"""The team that crash tests kill: every kind of step, wait and handoff, chosen by words of the request.

Each step notes in a ledger, outside the journal, that it ran and whether the journal had its record by
then. `CRASH_LEDGER` names the ledger.
"""

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

from baton import Agent, Answer, Ask, Handoff, Team, Turn
from baton.testing import ScriptedClassifier
from tests.support.waiting import until

TABLES = """
CREATE TABLE IF NOT EXISTS calls (run_id TEXT, key TEXT, pid INTEGER, was_recorded INTEGER);
CREATE TABLE IF NOT EXISTS effects (idempotency_key TEXT PRIMARY KEY, run_id TEXT, key TEXT);
"""

front = Agent("front", "Takes every request")
back = Agent("back", "Goes on from there", entry=False, max_attempts=4)


def open_ledger(path: str | Path) -> sqlite3.Connection:
    """Open the ledger; it outlives a killed process, and needs not outlive a power cut."""
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")
    connection.executescript(TABLES)
    return connection


def note(run_id: str, place: str, key: str, idempotency_key: str | None = None) -> str:
    """Note a call of a step, and its effect if it is keyed: once per idempotency key."""
    journal = os.environ["BATON_JOURNAL_URL"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=30)) as reader:
        asked = "SELECT count(*) FROM steps WHERE run_id = ? AND scope = ? AND key = ? AND status = 'done'"
        was_recorded = reader.execute(asked, (run_id, place, key)).fetchone()[0]
    with closing(open_ledger(os.environ["CRASH_LEDGER"])) as ledger:
        ledger.execute("INSERT INTO calls VALUES (?, ?, ?, ?)", (run_id, key, os.getpid(), was_recorded))
        if idempotency_key is not None:
            ledger.execute("INSERT OR IGNORE INTO effects VALUES (?, ?, ?)", (idempotency_key, run_id, key))
    return f"{key} done"


async def look(run_id: str, place: str) -> str:
    return note(run_id, place, "look")


def reserve(run_id: str, *, idempotency_key: str) -> str:
    return note(run_id, "agent:front", "reserve", idempotency_key)


def charge(run_id: str, place: str, *, idempotency_key: str) -> str:
    return note(run_id, place, "charge", idempotency_key)


def notify(run_id: str, place: str) -> str:
    return note(run_id, place, "notify")


async def book(run_id: str, place: str) -> str:
    return note(run_id, place, "book")


@front.turn
async def begin(turn: Turn) -> Ask | Handoff:
    """Look, reserve, ask if told to, and hand off."""
    if "bare" in turn.text:
        return Handoff(back, reason="without a step")
    looked = await turn.step("look", look, turn.run_id, str(turn.seq))
    await turn.step("reserve", reserve, turn.run_id, effect="keyed", scope="run")
    if "ask" in turn.text and turn.reply is None:
        return Ask("Which one?", facts={"asked": True})
    return Handoff(back, reason="the rest", facts={"looked": looked, "reply": turn.reply})


@back.turn
async def finish(turn: Turn) -> Answer | Handoff:
    """Charge, wait for an approval if told to, notify, book, and end or give it to a person."""
    if "poison" in turn.text:
        os.kill(os.getpid(), signal.SIGKILL)
    if "bare" in turn.text:
        return Answer("done")
    place = str(turn.seq)
    await turn.step("charge", charge, turn.run_id, place, effect="keyed")
    if "gate" in turn.text:
        gate = Path(os.environ["CRASH_LEDGER"]).with_name(turn.text)
        await until(gate.exists, timeout_s=60)
    if "approve" in turn.text and not (await turn.approve("sure", "Are you sure?")).granted:
        return Answer("not approved")
    told = await turn.step("notify", notify, turn.run_id, place, effect="unsafe")
    await turn.step("book", book, turn.run_id, place)
    if "person" in turn.text:
        return Handoff("human", reason="a last word")
    return Answer(f"done: {told}", data=turn.facts)


desk = Team("crashing", [front >> back], classifier=ScriptedClassifier(default="front"))
