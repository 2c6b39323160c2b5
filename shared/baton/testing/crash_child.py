"""The process that a crash test kills: it serves a team, sends requests and answers their waits.

In: a job file, and in the environment the journal and the point to die at. Out: exit code 0 once every
run has ended or waits for an answer that the job does not have. `crash_process` starts it.
"""

import asyncio
import contextlib
import faulthandler
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from baton.cli.loading import load_team
from baton.client import Client
from baton.config import Settings
from baton.errors import NotWaitingError
from baton.request import Question
from baton.service import serving

READY = "baton crash child: serving"
"""Printed once the team is served."""
STACKS = signal.SIGUSR1
"""Makes the process print where its threads are, even while one blocks the event loop."""


class Errand(BaseModel):
    """One request, and what to answer to its run."""

    request: dict[str, Any]
    """What `Client.send` takes, with the text and an idempotency key: who goes on sends it again."""
    replies: list[str | dict[str, Any]] = []
    """Answers to the run's waits, in their order; reviews do not count."""
    review: str | dict[str, Any] | None = None
    """Answer to every review; None: leave the run waiting for it."""

    def answer(self, question: Question, answered: int) -> Mapping[str, Any] | None:
        """Return what to reply to `question`, when `answered` others were answered before it."""
        if question.kind == "review":
            given = self.review
        else:
            given = self.replies[answered] if answered < len(self.replies) else None
        if isinstance(given, str):
            is_decision = question.kind in ("approval", "review") and given in ("approve", "reject")
            return {"decision": given} if is_decision else {"text": given}
        return given


class Job(BaseModel):
    """What one process of a crash test has to do; the one that goes on after it has the same job."""

    target: str
    """`module[:attr]` or `file.py[:attr]`."""
    errands: list[Errand]
    """Done at the same time."""
    timeout_s: float = 60.0
    """Longest time that a run may take to end or to its next wait."""


async def do(job: Job, environ: Mapping[str, str]) -> None:
    """Serve the job's team until each of its runs has ended or stands still for good."""
    async with serving(load_team(job.target), Settings.from_env(environ)) as service:
        print(READY, flush=True)  # noqa: T201  # for whoever watches this process
        await asyncio.gather(*(_see_through(service.client, one, job.timeout_s) for one in job.errands))


async def _see_through(client: Client, errand: Errand, timeout_s: float) -> None:
    """Send the request, and answer its run until it has ended or there is no answer."""
    sent = await client.send(**errand.request)
    while (question := (await sent.result(timeout_s=timeout_s)).question) is not None:
        waits = await client.journal.waits(sent.run_id)
        answered = sum(wait.kind != "review" and wait.status != "waiting" for wait in waits)
        reply = errand.answer(question, answered)
        if reply is None:
            return
        with contextlib.suppress(NotWaitingError):
            await client.reply(
                sent.run_id, **reply, wait_id=question.wait_id, idempotency_key=f"crash-{question.wait_id}"
            )


async def _until_told(job: Job) -> None:
    """Do the job; SIGTERM ends it early, as it ends any service."""
    work = asyncio.ensure_future(do(job, os.environ))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work


def main(arguments: Sequence[str]) -> None:
    """Do the job in the file that the first argument names."""
    faulthandler.register(STACKS)
    asyncio.run(_until_told(Job.model_validate_json(Path(arguments[0]).read_bytes())))


if __name__ == "__main__":
    main(sys.argv[1:])
