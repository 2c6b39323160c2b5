"""The team that the command line is tested on: what a request does is its first word."""

import asyncio

from baton import Agent, Answer, Ask, Handoff, PermanentError, Team, Turn
from baton.testing import ScriptedClassifier

front = Agent("front", "Takes every request")
back = Agent("back", "Finishes what front hands over", entry=False)


@front.turn
async def take(turn: Turn) -> Answer | Ask | Handoff:
    """Do what the request says."""
    word = turn.text.split()[0]
    if word == "fail":
        raise PermanentError("no luck today")
    if word == "hang":
        await asyncio.Event().wait()
    if word == "handoff":
        return Handoff(back, reason="it is yours", transfer=0, facts={"kept": 1, "draft": None})
    if word == "approve":
        approval = await turn.approve("go", "May I go on?")
        return Answer("granted" if approval.granted else f"denied: {approval.reason}")
    if word == "ask":
        return Answer(f"you said {turn.reply}") if turn.reply else Ask("Which one?", options=["red", "blue"])
    count = await turn.step("count", len, turn.text)
    return Answer(f"{count} characters", data={"facts": turn.facts})


@back.turn
async def finish(turn: Turn) -> Answer:
    """Say what came along."""
    return Answer(f"done with {len(turn.messages)} messages and {sorted(turn.facts)}")


team = Team(
    "test", [front >> back], fallback="human", classifier=ScriptedClassifier({"nobody": "absent"}, default="front")
)
