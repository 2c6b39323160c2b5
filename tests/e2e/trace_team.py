"""The team that traces are drawn of: what a request does is its first word."""

import os

from baton import Agent, Answer, Ask, Handoff, Team, TransientError, Turn
from baton.testing import ScriptedClassifier

front = Agent("front", "Takes every request")
back = Agent("back", "Finishes what front hands over", entry=False, max_attempts=2)


@front.turn
async def take(turn: Turn) -> Answer | Ask | Handoff:
    """Do what the request says."""
    word = turn.text.split()[0]
    if word == "ask":
        return Answer(f"you said {turn.reply}") if turn.reply else Ask("Which one?")
    if turn.from_agent == "back":
        return Answer("it came back")
    if word in ("handoff", "flaky", "fail", "back", "die"):
        await turn.step("look_up", len, turn.text)
        return Handoff(back, reason="it is yours", facts={"for": word})
    return Answer("hello")


@back.turn
async def finish(turn: Turn) -> Answer | Handoff:
    """Finish it, or fail as the request says."""
    word = turn.text.split()[0]
    if word == "die" and turn.attempt == 1:
        os._exit(9)
    if word == "fail" or (word == "flaky" and turn.attempt == 1):
        raise TransientError("the bank does not answer")
    if word == "back":
        return Handoff("front", reason="it is not mine", facts={"again": True})
    return Answer("done")


team = Team("test", [front >> back, back >> front], classifier=ScriptedClassifier({}, default="front"))
