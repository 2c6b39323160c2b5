"""Dialogues whose turns say who should own the conversation after each.

In: a file of dialogues. Out: the turns at which an agent was active, ready for a recogniser.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from baton.errors import ConfigError
from baton.evaluation import lines

GOLDS = ("start", "none", "stay", "switch", "mixed", "late")
ALLOWED_DIALOGUE = (
    '{"id": …, "turns": [{"user": …, "system": …, "gold": "start|none|stay|switch|mixed|late", '
    '"agent": …, "also": […]}]}'
)


@dataclass(frozen=True, slots=True)
class DialogueTurn:
    """One message of the user, and who should have the conversation after it."""

    dialogue: str
    user: str
    gold: str
    """One of `GOLDS`."""
    active: str | None
    """The agent that has the conversation when the message comes; None: nobody yet."""
    agent: str | None
    """The agent that should have it afterwards."""
    also: tuple[str, ...] = ()
    """Further agents that the message names."""
    said: str = ""
    """What was answered just before the message."""
    before: str = ""
    """The user's message before."""

    @property
    def targets(self) -> frozenset[str]:
        """The agents to which a handoff would be right."""
        return frozenset({self.agent or "", *self.also}) - {"", self.active or ""}


def read_dialogues(path: str) -> list[DialogueTurn]:
    """Read the turns of all dialogues, one after the other.

    Args:
        path: JSON lines, as `ALLOWED_DIALOGUE`.

    Raises:
        ConfigError: The file cannot be read, has no dialogue, or has bad ones.
    """
    found = lines.read(path, _turns, allowed=ALLOWED_DIALOGUE)
    return [turn for turns in found for turn in turns]


def check_agents(turns: Iterable[DialogueTurn], known: Iterable[str], path: str) -> None:
    """Make sure that every agent of the turns is one of those known.

    Raises:
        ConfigError: Agents are not.
    """
    names = frozenset(known)
    problems: dict[str, str] = {}
    for turn in turns:
        for agent in sorted({turn.agent or "", *turn.also} - names - {""}):
            told = f"dialogue {turn.dialogue!r} of {path!r}: no card of {agent!r}; cards are of "
            problems.setdefault(agent, told + ", ".join(sorted(names)))
    if problems:
        raise ConfigError(lines.some([*problems.values()]))


def _turns(number: int, fields: lines.Fields) -> list[DialogueTurn]:
    dialogue = str(fields.get("id") or f"line {number}")
    given = fields.get("turns")
    if not isinstance(given, list) or not given:
        raise lines.BadLineError("no 'turns'")
    active: str | None = None
    before = said = ""
    turns: list[DialogueTurn] = []
    for place, one in enumerate(given, 1):
        try:
            turn = _turn(one, dialogue, active, (said, before))
        except lines.BadLineError as error:
            raise lines.BadLineError(f"turn {place}: {error}") from error
        turns.append(turn)
        active, before, said = turn.agent or active, turn.user, one.get("system") or ""
    return turns


def _turn(one: Any, dialogue: str, active: str | None, earlier: tuple[str, str]) -> DialogueTurn:
    if not isinstance(one, dict):
        raise lines.BadLineError(f"a JSON {type(one).__name__}")
    gold = one.get("gold")
    if gold not in GOLDS:
        raise lines.BadLineError(f"'gold' is {lines.brief(gold)}")
    if gold in {"stay", "switch", "mixed"} and active is None:
        raise lines.BadLineError(f"{gold!r} before any agent has the conversation")
    user = one.get("user")
    if not isinstance(user, str):
        raise lines.BadLineError(f"'user' is {lines.brief(user)}")
    said, before = earlier
    agent, also = lines.text_in(one, "agent"), lines.texts_in(one, "also")
    return DialogueTurn(dialogue, user, gold, active, agent, also, said, before)
