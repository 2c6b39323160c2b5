"""Crashes on demand: kill a team's process at a named point, go on in another, see what came of it.

In: a target, a request and a point. Out: a `CrashReport`. Works on any team, with real processes and a
real journal:

    for report in crash.run_all("first.py:desk", send="my card was stolen"):
        report.check()
"""

import asyncio
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypedDict, Unpack

from baton import failpoints, ids
from baton.testing.crash_child import Errand, Job
from baton.testing.crash_process import Child, CrashError
from baton.testing.crash_report import CrashReport, RunStory, read_stories

__all__ = ["POINTS", "CrashError", "CrashReport", "Options", "RunStory", "run", "run_all"]

POINTS = failpoints.POINTS
"""Every point at which a process can be killed, in the order in which a run passes them."""
GRACE_S = 20.0
"""How long a process may take to start and to stop beside its work, in seconds."""


class Options(TypedDict, total=False):
    """What a crash test may be given beside the request and the point."""

    facts: Mapping[str, Any]
    """Facts of the request."""
    replies: Sequence[str | Mapping[str, Any]]
    """Answers to what the run waits for, in order, by whichever process is alive: a text, `approve` or
    `reject`, or what `Client.reply` takes. Reviews do not count."""
    review: str | Mapping[str, Any]
    """Answer to a review of an unsafe step; without it the run is left waiting there."""
    request: Mapping[str, Any]
    """What else `Client.send` takes."""
    journal: str | Path
    """A SQLite file to use; else a new one, which is deleted unless something is wrong."""
    environ: Mapping[str, str]
    """Variables for the processes; a test's retries and polls are fast unless these say otherwise."""
    timeout_s: float
    """Longest time that the run may take in either process; 60 s."""


def run(target: str, *, send: str, at: str, count: int = 1, **options: Unpack[Options]) -> CrashReport:
    """Serve `target`, send it a request, kill the process, let another go on, and report.

    Two real processes: the first is killed by SIGKILL when it passes the point; the second starts on the
    same journal, sends again under the same idempotency key, as a client would, and sees the run through.

    Args:
        target: `module[:attr]` or `file.py[:attr]` of a team.
        send: The request.
        at: One of `POINTS`.
        count: At which passing of the point, 1 or more.
        **options: See `Options`.

    Raises:
        CrashError: The point is unknown, the team does not load, or a process does not end in time.
    """
    if at not in POINTS or count < 1:
        raise CrashError(f"{at!r}, passing {count}: the points are {', '.join(POINTS)}; passings count from 1")
    job = Job(target=target, errands=[_errand(send, options)], timeout_s=options.get("timeout_s", 60.0))
    folder = Path(tempfile.mkdtemp(prefix="baton-crash-"))
    try:
        report = _crashed(job, folder, (at, count), options)
    except CrashError as error:
        error.add_note(f"journal, jobs and output are kept in {folder}")
        raise
    if not report.problems:
        shutil.rmtree(folder, ignore_errors=True)
    return report


def run_all(
    target: str,
    *,
    send: str,
    points: Iterable[str] = POINTS,
    counts: Iterable[int] = (1,),
    at_once: int = 2,
    **options: Unpack[Options],
) -> list[CrashReport]:
    """Do `run` at each of the points and passings, some at a time, each on a journal of its own.

    Args:
        target: `module[:attr]` or `file.py[:attr]` of a team.
        send: The request.
        points: Some of `POINTS`; leave out what the team never passes (`step.intended`: unsafe steps).
        counts: At which passings of each point.
        at_once: Crash tests at a time, 1 or more.
        **options: See `Options`; `journal` cannot be shared.

    Raises:
        CrashError: As for `run`, or a journal was given.
    """
    if "journal" in options:
        raise CrashError("several crash tests cannot share a journal; give `journal` to `run`")
    passings = [(point, count) for point in points for count in counts]
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        return list(pool.map(lambda one: run(target, send=send, at=one[0], count=one[1], **options), passings))


def _errand(send: str, options: Options) -> Errand:
    name = ids.new_id()
    request = {**options.get("request", {}), "text": send, "batch": name, "idempotency_key": f"crash-{name}"}
    if "facts" in options:
        request["facts"] = dict(options["facts"])
    answers = {"replies": list(options.get("replies", ())), "review": options.get("review")}
    return Errand.model_validate({"request": request, **answers})


def _crashed(job: Job, folder: Path, point: tuple[str, int], options: Options) -> CrashReport:
    at, count = point
    journal = Path(options.get("journal", folder / "journal.db")).absolute()
    environ = dict(options.get("environ", {}))
    limit_s = job.timeout_s + GRACE_S
    with Child(job, journal, folder=folder, environ={**environ, "BATON_FAIL_AT": f"{at}:{count}"}) as first:
        was_killed, output = first.wait(timeout_s=limit_s).was_killed, first.output
    if was_killed:
        with Child(job, journal, folder=folder, environ=environ) as second:
            if second.wait(timeout_s=limit_s).was_killed:
                raise CrashError(f"the process that went on was killed, and not by this test:\n{second.output}")
            output += second.output
    stories, integrity = _in_a_thread(journal, job.errands[0].request["batch"])
    return CrashReport(at, count, was_killed, stories, integrity, journal, output)


def _in_a_thread(journal: Path, batch: str) -> tuple[tuple[RunStory, ...], str]:
    """Read the journal, whether or not an event loop runs here."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, read_stories(journal, batch)).result()
