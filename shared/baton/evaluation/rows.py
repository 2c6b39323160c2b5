"""Labelled requests: what was asked, what it was about, and whose it is.

In: files of labelled rows, and of who takes which intent. Out: values for `splits` and `owners`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from baton import codec
from baton.errors import ConfigError
from baton.evaluation import lines

OOS = "oos"
"""The intent, or the agent, of a request that no agent handles: out of scope."""

ALLOWED_ROW = '{"text": …, "intent": …, "agent": …} with one of the last two or both'


@dataclass(frozen=True, slots=True)
class LabelledRow:
    """One request, and what it wants."""

    number: int
    """Its line, from 1."""
    text: str
    intent: str | None
    """None: the row names its agent only."""
    agent: str | None
    """None: the row names its intent only."""

    @property
    def is_oos(self) -> bool:
        """Whether no agent handles it."""
        return OOS in (self.intent, self.agent)

    @property
    def label(self) -> str:
        """The finest that is known of it: its intent, else its agent."""
        return self.intent or self.agent or OOS


@dataclass(frozen=True, slots=True)
class Departments:
    """Which agent takes which intent."""

    intents: Mapping[str, str] = field(default_factory=dict)
    """Agent by intent."""
    descriptions: Mapping[str, str] = field(default_factory=dict)
    """One line by agent; may lack agents."""


def read_rows(path: str) -> list[LabelledRow]:
    """Read labelled requests.

    Args:
        path: JSON lines `{"text", "intent"[, "agent"]}`; out of scope is the intent `oos`.

    Raises:
        ConfigError: The file cannot be read, has no row, or has bad ones.
    """
    return lines.read(path, _row, allowed=ALLOWED_ROW)


def read_departments(path: str) -> Departments:
    """Read who takes which intent.

    Args:
        path: One JSON object: agents by intent, either itself or under `intents`, with descriptions by
            agent under `agents`.

    Raises:
        ConfigError: The file cannot be read, or holds something else.
    """
    try:
        found: Any = codec.decode(lines.bytes_of(path))
    except ValueError as error:
        raise ConfigError(f"{path!r} is no JSON: {error}") from error
    is_nested = isinstance(found, dict) and isinstance(found.get("intents"), dict)
    intents = found["intents"] if is_nested else found
    descriptions = found.get("agents", {}) if is_nested else {}
    if not _maps_texts(intents) or not _maps_texts(descriptions) or not intents:
        raise ConfigError(
            f'{path!r} maps no intents to agents; allowed is {{"INTENT": "AGENT", …}}, '
            'or {"agents": {"AGENT": "its area", …}, "intents": {"INTENT": "AGENT", …}}'
        )
    return Departments(intents, descriptions)


def _row(number: int, fields: lines.Fields) -> LabelledRow:
    text = lines.needed_text(fields, "text")
    intent, agent = lines.text_in(fields, "intent"), lines.text_in(fields, "agent")
    if intent is None and agent is None:
        raise lines.BadLineError("neither 'intent' nor 'agent'")
    return LabelledRow(number, text, intent, agent)


def _maps_texts(found: Any) -> bool:
    return isinstance(found, dict) and all(isinstance(value, str) and value for value in found.values())
