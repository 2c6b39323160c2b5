"""The three things a turn can return: control moves by returning, and in no other way.

In: an agent's decision. Out: what `protocol.settle` turns into rows and envelopes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from baton.agent import Agent
    from baton.envelope import Message

Transfer: TypeAlias = Literal["full", "summary"] | int | Callable[[Sequence["Message"]], Sequence["Message"]]
"""Which messages cross: all, none but a summary, the last n, or what a function picks of them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The run is done: this is the reply to the requester."""

    text: str
    """What the requester reads; 1 byte to 1 MiB of UTF-8."""
    data: Any = None
    """Something for programs beside the text; any JSON value, at most 1 MiB."""
    release: bool = False
    """True: the next request of this conversation is classified anew, not sent to this agent."""


@dataclass(frozen=True, slots=True)
class Handoff:
    """Another agent goes on from here; the sender is free at once."""

    to: "Agent | str"
    """The target: an agent, its name, `"human"` for a person, or `"router"` for a new choice."""
    reason: str = ""
    """Why, in a few words; shown in the trail and to the target."""
    transfer: Transfer = "full"
    """Which messages the target is given; the full log stays readable by `turn.history()`."""
    summary: str | None = None
    """What the target should know; needed with `transfer="summary"`."""
    facts: Mapping[str, Any] | None = None
    """Facts to add; later wins, None deletes."""


@dataclass(frozen=True, slots=True)
class Ask:
    """The run waits for its user; the reply comes to the same agent as `turn.reply`."""

    question: str
    """What the user reads; 1 byte to 256 KiB of UTF-8."""
    options: Sequence[str] | None = None
    """Suggested replies; any other text is taken too."""
    facts: Mapping[str, Any] | None = None
    """Facts to add; later wins, None deletes."""
    deadline_s: float | None = None
    """Seconds to wait, > 0; None waits without end."""
    on_timeout: Literal["fail", "escalate"] = "fail"
    """At the deadline: end the run as failed, or give it to a person."""


@dataclass(frozen=True, slots=True)
class Approval:
    """How a person answered `turn.approve`."""

    granted: bool
    """True: go ahead."""
    by: str
    """Who answered; `deadline` where nobody did in time."""
    reason: str = ""
    """Why, in the person's words; may be empty."""

    def __bool__(self) -> bool:
        """Return True where it was granted, so that `if await turn.approve(…)` means what it says."""
        return self.granted


@dataclass(frozen=True, slots=True)
class Shift:
    """The recogniser's finding that a user's message is about something else."""

    targets: tuple[tuple[str, float], ...]
    """Up to two agents with their scores (0 to 1), best first."""
    confident: bool
    """True: sure enough to move the conversation without asking."""


Outcome: TypeAlias = Answer | Handoff | Ask
