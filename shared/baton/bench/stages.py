"""The relay that is measured: the router and four agents, each handing on to the next.

In: a request addressed to the first agent. Out: the last one's answer, which says how many had the run.
"""

from itertools import pairwise

from baton.agent import Agent
from baton.hop.turn import Turn
from baton.outcome import Answer, Handoff, Outcome
from baton.team import Team

STAGES = 5
"""Hops of a run: the router's and four agents'."""
FIRST = "stage-1"
"""The agent that requests are addressed to: nothing is classified."""
ANSWER = f"seen by {STAGES - 1} stages"
TRAIL = ("router", *(f"stage-{number}" for number in range(1, STAGES)))
"""The way that every run takes."""
TEXT = ("order invoice refund customer account delayed parcel " * 100)[:4096]
"""The request, which every hop carries along."""


def _stage(number: int) -> Agent:
    agent = Agent(f"stage-{number}", f"Stage {number} of the relay", entry=number == 1)

    @agent.turn
    async def take(turn: Turn) -> Outcome:
        seen = turn.facts.get("seen", 0) + 1
        if number == STAGES - 1:
            return Answer(f"seen by {seen} stages")
        return Handoff(f"stage-{number + 1}", reason="next stage", facts={"seen": seen})

    return agent


stage_1, stage_2, stage_3, stage_4 = agents = tuple(map(_stage, range(1, STAGES)))
team = Team("relay", [a >> b for a, b in pairwise(agents)], agents=agents)
