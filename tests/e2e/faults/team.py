"""The team of the fault tests: three agents in a ring, and a text that says what happens at which place.

In: `places:4 retry@2 slow@3:1.5`: a run passes four places, fails once at the second and takes 1.5 s at the third.
Out: at each place one call that is looked up and one keyed effect in the ledger. Words, each for one place:

`retry@P`       raises in the first attempt
`slow@P:S`      takes S seconds
`hold@P:NAME`   waits until there is a file NAME in `FAULTS_FOLDER`
`die@P`         kills the process, every time
`ask@P`         asks the user first
`unsafe@P`      does a step that must not be repeated
`to@P:AGENT`    hands off to AGENT instead of the next in the ring
`fail@P`        fails for good
"""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

from baton import Agent, Answer, Ask, Handoff, PermanentError, Team, TransientError, Turn
from tests.e2e.faults.ledger import Ledger, open_ledger
from tests.support.waiting import until

RING = ("first", "second", "third")
VERSION = os.environ.get("FAULTS_VERSION", "1")
"""Version 2 does a step more at each place: old records replay in it, and its own in the old one."""
HOLD_S = 60.0
"""How long a place is held at most, in seconds."""

first = Agent("first", "The first place, the fourth, …", version=VERSION)
second = Agent("second", "The second place, the fifth, …", entry=False, version=VERSION)
third = Agent("third", "The third place, the sixth, …", entry=False, max_attempts=4, version=VERSION)
late = Agent("late", "Where `to@P:late` leads; deployed when a test says so", entry=False, version=VERSION)


class Plan:
    """What a text says."""

    def __init__(self, text: str) -> None:
        words = [word.partition(":")[::2] for word in text.split()]
        self._words = {name: value for name, value in words if name != "places"}
        self.places = int(dict(words).get("places", "3"))

    def at(self, word: str, place: int) -> str | None:
        """Return the value of a word for this place; None: it is not said; empty: it has none."""
        return self._words.get(f"{word}@{place}")


async def pass_on(turn: Turn) -> Answer | Ask | Handoff:
    """Do what the text says for this place, and hand off to the next."""
    plan, place = Plan(turn.text), int(turn.facts.get("place", 0)) + 1
    ledger: Ledger = turn.resources
    if plan.at("ask", place) is not None and turn.reply is None:
        return Ask(f"May place {place} go on?")
    where = (turn.run_id, turn.seq, place)
    await turn.step("look", ledger.look, *where)
    if VERSION == "2":
        await turn.step("audit", ledger.audit, *where)
    await _meet(plan, place, turn)
    if plan.at("unsafe", place) is not None:
        await turn.step("notify", ledger.notify, *where, effect="unsafe")
    paid = await turn.step("pay", ledger.pay, *where, effect="keyed")
    facts = {"place": place, "paid": [*turn.facts.get("paid", []), paid]}
    target = plan.at("to", place) or RING[place % len(RING)]
    if place == plan.places and plan.at("to", place) is None:
        return Answer(f"{place} places", data=facts["paid"])
    return Handoff(target, reason=f"place {place} is done", facts=facts)


async def _meet(plan: Plan, place: int, turn: Turn) -> None:
    """Let happen what goes wrong at this place."""
    if plan.at("die", place) is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    if plan.at("fail", place) is not None:
        raise PermanentError(f"place {place} was told to fail")
    if plan.at("retry", place) is not None and turn.attempt == 1:
        raise TransientError(f"place {place} was told to fail once")
    if (seconds := plan.at("slow", place)) is not None:
        with suppress(TimeoutError):
            async with asyncio.timeout(float(seconds)):
                await asyncio.Event().wait()
    if (name := plan.at("hold", place)) is not None:
        gate = Path(os.environ["FAULTS_FOLDER"]) / name
        await until(gate.exists, timeout_s=HOLD_S, what=f"gate {name}")


for agent in (first, second, third, late):
    agent.turn(pass_on)
    agent.resources(open_ledger)

team = Team("faults", [first >> [second, "late", "absent"], second >> third, third >> first], agents=[late])
