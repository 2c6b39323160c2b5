"""What a client publishes and what it gets back: the language-neutral edge of the system.

In: JSON bodies from a queue, the client or the command line. Out: checked requests for
`Journal.accept`, and the `Result` that ends every run.
"""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from baton import codec
from baton.errors import FactsError, RequestError

RunStatus = Literal["queued", "running", "waiting", "completed", "failed", "cancelled"]
ENDED: frozenset[str] = frozenset({"completed", "failed", "cancelled"})
"""The terminal states of a run: exactly one of them, once."""
CONVERSATION_LIMIT = 200
"""Longest conversation id, in characters."""
MAX_HOPS_LIMIT = 1000
"""Most hops a request may ask for."""


class Request(BaseModel):
    """A request for work: becomes a run, or the reply its conversation waits for."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", strict=True)

    text: str
    """What is wanted; 1 byte to 256 KiB of UTF-8."""
    conversation_id: str | None = Field(
        default=None, min_length=1, max_length=CONVERSATION_LIMIT, pattern=r"^[^\x00]*$"
    )
    """The dialogue it belongs to; None starts one of its own."""
    facts: dict[str, Any] = Field(default_factory=dict)
    """Facts to add to the conversation."""
    to: str | None = Field(default=None, min_length=1, max_length=48)
    """An agent to send it to without asking the classifier."""
    deadline_s: float | None = Field(default=None, gt=0, le=30 * 86400, strict=False)
    """Seconds the run may take, > 0, at most 30 days; waits for the user or a person do not count."""
    max_hops: int | None = Field(default=None, ge=1, le=MAX_HOPS_LIMIT)
    """Most hops the run may take; None: 16."""

    @classmethod
    def of(cls, fields: object) -> Self:
        """Return the request in `fields`, a JSON object.

        Raises:
            RequestError: A field is unknown, of the wrong type or out of range; says which.
        """
        if not isinstance(fields, dict):
            raise RequestError(f"a request is a JSON object; seen: {type(fields).__name__}")
        if "text" not in fields:
            raise RequestError("a request needs `text`; seen: " + (", ".join(fields) or "no field"), field="text")
        try:
            request = cls.model_validate({**fields, "text": codec.checked_text(fields["text"])})
            facts = codec.checked_facts(request.facts)
            codec.merge_facts({}, facts)
        except ValidationError as error:
            raise _rejected(error, cls) from error
        except FactsError as error:
            raise RequestError(str(error), code="bad_facts", field="facts") from error
        return request.model_copy(update={"facts": facts})


class Question(BaseModel):
    """What a run waits for, as its requester or a person sees it."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    wait_id: str
    kind: Literal["user", "approval", "human", "review"]
    """Who has to answer: the user, an approver, a person at the desk, or a reviewer."""
    question: str
    options: tuple[str, ...] = ()
    deadline_at: float | None = None
    """Unix time at which the wait ends by itself; None: never."""


class Failure(BaseModel):
    """Why a run failed or a request was rejected."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    code: str
    """Stable identifier: `no_agent`, `hop_limit`, `no_progress`, `max_attempts`, …"""
    message: str
    """What was seen and what is allowed, for a person."""
    agent: str | None = None
    """The agent at which it happened."""
    details: dict[str, Any] = Field(default_factory=dict)
    """What a program may want: scores, the loop, the last attempt."""


class Result(BaseModel):
    """How a run stands: what a client gets when it ended, or waits."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    run_id: str
    conversation_id: str
    status: RunStatus
    text: str | None = None
    """The answer; None unless completed."""
    data: Any = None
    facts: dict[str, Any] = Field(default_factory=dict)
    agent: str | None = None
    """The agent that answered, or where the run stands."""
    trail: tuple[str, ...] = ()
    """The agents in the order in which they had the run, `router` first."""
    error: Failure | None = None
    question: Question | None = None
    """What it waits for; None unless waiting."""

    @property
    def has_ended(self) -> bool:
        """True in a terminal state."""
        return self.status in ENDED


def _rejected(error: ValidationError, model: type[BaseModel]) -> RequestError:
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = ", ".join(model.model_fields)
        return RequestError(f"unknown field {field!r}; allowed are {known}", code="unknown_field", field=field)
    seen = repr(first["input"])[:80]
    return RequestError(f"{field} is {seen}: {first['msg']}", code="bad_field", field=field)
