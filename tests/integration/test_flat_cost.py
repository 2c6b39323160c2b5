"""The cost of a hop does not grow with what the journal already holds."""

import re
import sqlite3
from pathlib import Path

from baton import Agent, Answer, Ask, Handoff, Team, Turn
from baton.testing import ScriptedClassifier, serve

GROWING = ("runs", "hops", "steps", "waits", "accepted", "conversations", "messages", "events", "deliveries")


def _team() -> Team:
    front = Agent("front", "Takes every request")
    back = Agent("back", "Does the work", entry=False)

    @front.turn
    async def hand_off(turn: Turn) -> Handoff | Ask:
        if "ask" in turn.text and turn.reply is None:
            return Ask("Which one?", deadline_s=60)
        return Handoff(back, reason="work", facts={"seen": True})

    @back.turn
    async def work(turn: Turn) -> Answer:
        await turn.step("count", len, turn.text)
        if "approve" in turn.text:
            await turn.approve("sure", "Go on?", deadline_s=60)
        return Answer("done")

    return Team("flat", [front >> back], classifier=ScriptedClassifier(default="front"))


async def test_no_statement_of_a_run_scans_a_table_that_grows(tmp_path: Path) -> None:
    statements: set[str] = set()
    path = tmp_path / "journal.db"
    async with serve(_team(), journal=path) as served:
        for connection in (served.journal.writer._connection, served.journal.reader._connection):
            connection.set_trace_callback(statements.add)
        await served.send("plain", conversation_id="c", idempotency_key="k", deadline_s=60)
        await served.reply(await served.send("ask me"), "the first")
        await served.reply(await served.send("approve me"), decision="approve")
        run = await served.start("ask me too")
        await run.result()
        await run.cancel()
        await served.journal.sweep()
        await served.journal.changed()

    scans = sorted(scan for statement in statements for scan in _scans(path, statement))
    assert scans == []


def _scans(path: Path, statement: str) -> list[str]:
    """Return the steps of a statement's plan that read a whole table."""
    if not re.match(r"\s*(SELECT|UPDATE|INSERT|DELETE)", statement):
        return []
    with sqlite3.connect(path) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
    return [
        f"{step}: {statement[:200]}" for step in plan if re.match(rf"SCAN ({'|'.join(GROWING)})\b(?!.*INDEX)", step)
    ]
