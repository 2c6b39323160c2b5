"""The journal's file: made once, locked for the process that serves it, and refused where it is not ours."""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from baton.errors import JournalBusyError, JournalError, JournalUnavailableError, JournalVersionError
from baton.journal.sqlite import files
from baton.journal.sqlite.journal import SqliteJournal
from baton.journal.views import RunFilter
from tests.support.journals import Hand
from tests.support.sqlite import SqliteHarness
from tests.support.waiting import until


async def opened(path: Path, *, serves: bool = True) -> SqliteJournal:
    journal = SqliteJournal(path)
    await journal.start(serves=serves)
    return journal


async def refused(path: Path) -> str:
    before = path.read_bytes()
    with pytest.raises(JournalVersionError) as caught:
        await opened(path)
    assert path.read_bytes() == before
    assert str(path) in str(caught.value)
    return str(caught.value)


async def test_a_journal_is_made_with_its_directory_and_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "journal.db"
    for _ in range(2):
        journal = await opened(path)
        assert await journal.check() == "ok"
        await journal.close()


async def test_an_empty_file_becomes_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.touch()
    await (await opened(path)).close()


@pytest.mark.parametrize(
    "content", [b"\x00\xff" * 5_000, b"not a database, but a text file\n" * 200, b"SQLite format 3\x00"]
)
async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(content)
    assert "is no journal or is damaged" in await refused(path)


async def test_the_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE mine (x)")
        other.commit()
    assert "of another program" in await refused(path)


@pytest.mark.parametrize("version", [0, files.VERSION + 1, 99])
async def test_a_journal_of_another_version_is_refused_and_left_alone(tmp_path: Path, version: int) -> None:
    path = tmp_path / "journal.db"
    await (await opened(path)).close()
    with contextlib.closing(sqlite3.connect(path)) as newer:
        newer.execute(f"PRAGMA user_version = {version}")
        newer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        newer.commit()
    told = await refused(path)
    assert f"has version {version}; this Baton reads version {files.VERSION}" in told


@pytest.mark.parametrize("offset", [0, 100, 4_096])
async def test_a_damaged_journal_is_told_and_not_served_silently(tmp_path: Path, offset: int) -> None:
    path = tmp_path / "journal.db"
    journal = await opened(path)
    for n in range(50):
        await Hand(harness_of(journal)).accept(f"text {n} " + "x" * 500)
    await journal.close()
    content = bytearray(path.read_bytes())
    content[offset : offset + 20_000] = b"\xaa" * 20_000
    path.write_bytes(bytes(content))
    with pytest.raises(JournalError):
        journal = await opened(path)
        try:
            for run in await journal.runs(RunFilter(limit=100)):
                await journal.result(run.run_id)
            await Hand(harness_of(journal)).accept("more")
        finally:
            await journal.close()


def harness_of(journal: SqliteJournal) -> SqliteHarness:
    harness = SqliteHarness(journal.path)
    harness.journal = journal
    return harness


async def test_a_place_where_no_file_can_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "journal.db"):
        with pytest.raises(JournalUnavailableError, match="cannot be opened"):
            await opened(path)


async def test_one_handle_serves_and_names_its_process_and_others_read(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    serving = await opened(path)
    assert serving.holder() == os.getpid()
    with pytest.raises(JournalBusyError, match=f"process {os.getpid()} already serves") as caught:
        await opened(path)
    assert caught.value.pid == os.getpid()
    reading = await opened(path, serves=False)
    await reading.close()
    assert reading.holder() == os.getpid()
    await serving.close()
    assert serving.holder() is None
    await (await opened(path)).close()


async def test_a_process_that_died_leaves_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    program = (
        "import asyncio, sys\nfrom baton.journal.sqlite.journal import SqliteJournal\n"
        "async def main():\n    journal = SqliteJournal(sys.argv[1])\n    await journal.start(serves=True)\n"
        "    print('up', flush=True)\n"
        "    await asyncio.Event().wait()\nasyncio.run(main())\n"
    )
    shared = Path(files.__file__).parents[3]
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(shared)},
    )
    assert child.stdout is not None
    try:
        assert await asyncio.to_thread(child.stdout.readline) == b"up\n"
        with pytest.raises(JournalBusyError, match=f"process {child.pid} already serves"):
            await opened(path)
    finally:
        child.kill()
        child.communicate()

    async def taken() -> SqliteJournal | None:
        try:
            return await opened(path)
        except JournalBusyError:
            return None

    journal = await until(taken, what="the lock of the dead process")
    assert journal is not None
    await journal.close()


async def test_a_closed_journal_says_so(tmp_path: Path) -> None:
    journal = await opened(tmp_path / "journal.db")
    hand = Hand(harness_of(journal))
    accepted = await hand.accept()
    await journal.close()
    with pytest.raises(JournalUnavailableError, match="the journal is closed"):
        await hand.accept()
    with pytest.raises(JournalUnavailableError, match="the journal is closed"):
        await journal.result(accepted.run_id)
    await journal.close()


async def test_what_was_written_before_the_close_is_there(tmp_path: Path) -> None:
    journal = await opened(tmp_path / "journal.db")
    hand = Hand(harness_of(journal))
    writes = [asyncio.ensure_future(hand.accept(f"text {n}")) for n in range(20)]
    await until(lambda: writes[0].done())
    await journal.close()
    assert all(write.done() or not write.cancelled() for write in writes)
    accepted = [await write for write in writes]
    journal = await opened(tmp_path / "journal.db")
    assert len(await journal.runs(RunFilter())) == len({one.run_id for one in accepted}) == 20
    await journal.close()


async def test_a_read_of_several_statements_sees_one_moment(tmp_path: Path) -> None:
    journal, other = (
        await opened(tmp_path / "journal.db"),
        sqlite3.connect(tmp_path / "journal.db", isolation_level=None),
    )
    count, insert = "SELECT count(*) FROM meta", "INSERT INTO meta VALUES ('k', 'v')"
    with contextlib.closing(other):
        seen = await journal.reader.do(lambda tx: (tx.one(count)[0], other.execute(insert).rowcount, tx.one(count)[0]))
    assert seen == (0, 1, 0)
    assert await journal.reader.do(lambda tx: tx.one(count)[0]) == 1
    await journal.close()


async def test_a_writer_that_holds_the_file_is_waited_for(tmp_path: Path) -> None:
    journal = await opened(tmp_path / "journal.db")
    other = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    with contextlib.closing(other):
        other.execute("BEGIN IMMEDIATE")
        accepting = asyncio.ensure_future(Hand(harness_of(journal)).accept())
        assert await journal.runs(RunFilter()) == []
        assert not accepting.done()
        other.execute("COMMIT")
        await accepting
    assert len(await journal.runs(RunFilter())) == 1
    await journal.close()
