"""What has to be true of everything that a journal stores, at any moment and between two moments."""

from collections import defaultdict
from typing import Any

from tests.support.journals import Rows

OPEN = {"queued", "running", "waiting"}
ENDED = {"completed", "failed", "cancelled"}
MOVING = {"pending", "running"}

Row = dict[str, Any]


def check(rows: Rows) -> None:
    """Check one state.

    Raises:
        AssertionError: Something is lost, doubled or out of order.
    """
    runs = {row["run_id"]: row for row in rows["runs"]}
    hops, waits = by_run(rows["hops"]), by_run(rows["waits"])
    holders = {(row["tenant"], row["conversation_id"]): row["holder_run"] for row in rows["conversations"]}
    for run_id, run in runs.items():
        check_run(run, hops[run_id], waits[run_id])
        check_holder(run, hops[run_id], waits[run_id], holders[run["tenant"], run["conversation_id"]])
        numbers = [row["number"] for row in rows["events"] if row["run_id"] == run_id]
        assert numbers == list(range(1, len(numbers) + 1)), f"events of {run_id}: {numbers}"
        assert len(numbers) == run["last_event"]
    for holder in holders.values():
        assert holder is None or runs[holder]["status"] in OPEN, f"{holder} has ended and holds a conversation"
    check_logs(rows, runs)


def check_run(run: Row, hops: list[Row], waits: list[Row]) -> None:
    """Check that a run has the one hop that goes on, or none where it is over."""
    going = [hop for hop in hops if hop["status"] not in ("done", "failed")]
    waiting = [wait for wait in waits if wait["status"] == "waiting"]
    told = f"{run['run_id']} is {run['status']}: {[hop['status'] for hop in hops]}"
    assert [hop["seq"] for hop in hops] == list(range(len(hops))), told
    if run["status"] in ENDED:
        assert not going, told
        assert not waiting, told
        assert run["ended_at"] is not None, told
        return
    assert run["status"] in OPEN, told
    assert len(going) == 1, told
    assert going[0] is hops[-1], told
    assert (run["status"] == "waiting") == (going[0]["status"] == "waiting") == (len(waiting) == 1), told
    assert all(wait["seq"] == going[0]["seq"] for wait in waiting), told


def check_holder(run: Row, hops: list[Row], waits: list[Row], holder: str | None) -> None:
    """Check that who moves has the conversation, and who stands in line waits for somebody."""
    if run["status"] in ENDED:
        return
    status = hops[-1]["status"]
    keeps = status in MOVING or any(wait["status"] == "waiting" and wait["kind"] == "user" for wait in waits)
    told = f"{run['run_id']} ({status}); the conversation is {holder}'s"
    assert not keeps or holder == run["run_id"], told
    assert status != "blocked" or holder not in (None, run["run_id"]), told
    assert keeps or status == "blocked" or holder != run["run_id"], told


def check_logs(rows: Rows, runs: dict[str, Row]) -> None:
    """Check that each conversation's log has no gap, and its requests in the order of acceptance."""
    logs: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for message in rows["messages"]:
        logs[message["tenant"], message["conversation_id"]].append(message)
    lengths = {(row["tenant"], row["conversation_id"]): row["log_length"] for row in rows["conversations"]}
    for name, log in logs.items():
        assert [message["position"] for message in log] == list(range(lengths[name]))
        said = [runs[message["run_id"]]["position"] for message in log if message["seq"] == 0]
        assert said == sorted(set(said)), f"requests of {name} out of order: {said}"


def check_change(before: Rows, after: Rows) -> None:
    """Check that what is over stays as it is, and what was said or recorded stays said.

    Raises:
        AssertionError: Something that had taken effect was changed.
    """
    kept: dict[str, tuple[tuple[str, ...], tuple[str, ...], Any]] = {
        "runs": (("run_id",), ("status", "result", "error"), lambda row: row["status"] in ENDED),
        "hops": (
            ("run_id", "seq"),
            ("status", "outcome", "error", "token"),
            lambda row: row["status"] in ("done", "failed"),
        ),
        "steps": (("run_id", "scope", "key"), ("status", "result"), lambda row: row["status"] == "done"),
        "waits": (("wait_id",), ("status", "answer"), lambda row: row["status"] != "waiting"),
        "messages": (("tenant", "conversation_id", "position"), ("run_id", "text"), lambda row: True),
        "events": (("run_id", "number"), ("type", "seq", "data"), lambda row: True),
        "accepted": (("tenant", "key"), ("run_id", "took", "body_hash"), lambda row: True),
    }
    for table, (key, fields, is_final) in kept.items():
        now = {tuple(row[name] for name in key): row for row in after[table]}
        for row in filter(is_final, before[table]):
            same = now.get(tuple(row[name] for name in key))
            assert same is not None, f"{table}: {row} is gone"
            assert [row[name] for name in fields] == [same[name] for name in fields], f"{table}: {row} became {same}"


def by_run(rows: list[Row]) -> dict[str, list[Row]]:
    """Return rows by run."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["run_id"]].append(row)
    return found
