"""What a client publishes and what it gets back: the language-neutral edge of the system.

In: JSON bodies from a queue, the client or the command line. Out: checked requests for
`Journal.accept`, and the `Result` that ends every run.
"""

from typing import Any, Literal, Self, TypeVar

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
BODY_LIMIT_BYTES = 4 * 1024 * 1024
"""Longest body that is read at all: texts and facts within their limits need less, however they are escaped."""


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


class ResultMessage(BaseModel):
    """What goes to a requester's queue when its run ended, or asks something."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    run_id: str
    conversation_id: str
    status: Literal["waiting", "completed", "failed", "cancelled"]
    text: str | None = None
    """The answer; None unless completed."""
    data: Any = None
    facts: dict[str, Any] = Field(default_factory=dict)
    agent: str | None = None
    trail: tuple[str, ...] = ()
    error: Failure | None = None
    question: str | None = None
    """What the run wants to know of its user; None unless waiting."""
    options: tuple[str, ...] = ()
    """The replies that are expected; empty: any."""
    wait_id: str | None = None
    """Names the wait in `{"reply": {"run_id", "wait_id", "text"}}`."""

    @classmethod
    def of(cls, result: Result) -> "ResultMessage":
        """Return the message that tells a result."""
        given = {name: value for name, value in result if name != "question"}
        if (asked := result.question) is not None:
            given |= {"question": asked.question, "options": asked.options, "wait_id": asked.wait_id}
        return ResultMessage.model_construct(**given)


class Rejection(BaseModel):
    """Why nothing was made of a message; goes to its sender's queue."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    code: str
    message: str
    """What was seen and what is allowed, for a person."""
    field: str | None = None


class Rejected(BaseModel):
    """What goes to a requester's queue when its message was not taken."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    status: Literal["rejected"] = "rejected"
    error: Rejection


class ReplyMessage(BaseModel):
    """An answer to what a run waits for."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", strict=True)

    run_id: str = Field(min_length=1, max_length=64)
    wait_id: str | None = Field(default=None, min_length=1, max_length=64)
    """Which wait; None: the one the run has open."""
    text: str
    """1 byte to 256 KiB of UTF-8."""


class CancelMessage(BaseModel):
    """A wish to end a run."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", strict=True)

    run_id: str = Field(min_length=1, max_length=64)
    reason: str = Field(default="", max_length=1000)


class ReplyRequest(BaseModel):
    """A message that replies."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", strict=True)

    reply: ReplyMessage


class CancelRequest(BaseModel):
    """A message that cancels."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", strict=True)

    cancel: CancelMessage


def read(body: bytes) -> Request | ReplyMessage | CancelMessage:
    """Return what a message of `baton.requests` wants.

    Raises:
        RequestError: It is no JSON object, too long, or a field is unknown, of the wrong type or out of range.
    """
    if len(body) > BODY_LIMIT_BYTES:
        told = f"the body has {len(body)} bytes; at most {BODY_LIMIT_BYTES} are read, and a text has at most 262144"
        raise RequestError(told, code="too_large")
    try:
        fields = codec.decode(body)
    except ValueError as error:
        raise RequestError(f"a request is JSON in UTF-8; seen: {body[:40]!r}: {error}", code="bad_json") from error
    if isinstance(fields, dict) and "reply" in fields:
        reply = _checked(ReplyRequest, fields).reply
        codec.checked_text(reply.text)
        return reply
    if isinstance(fields, dict) and "cancel" in fields:
        cancel = _checked(CancelRequest, fields).cancel
        if cancel.reason:
            codec.checked_text(cancel.reason, field="reason")
        return cancel
    return Request.of(fields)


_Model = TypeVar("_Model", bound=BaseModel)


def _checked(model: type[_Model], fields: dict[str, Any]) -> _Model:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise _rejected(error, model) from error


def _rejected(error: ValidationError, model: type[BaseModel]) -> RequestError:
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        inner = model.model_fields.get(str(first["loc"][0]))
        if inner is not None and isinstance(inner.annotation, type) and issubclass(inner.annotation, BaseModel):
            model = inner.annotation
        known = ", ".join(model.model_fields)
        return RequestError(f"unknown field {field!r}; allowed are {known}", code="unknown_field", field=field)
    seen = repr(first["input"])[:80]
    return RequestError(f"{field} is {seen}: {first['msg']}", code="bad_field", field=field)
