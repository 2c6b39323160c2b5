"""What travels on the queue for one hop: the context, and by arriving, the wake-up.

In: `protocol.settle` makes one for the next agent. Out: bytes on the wire and, less its texts, in
the hop's row. `hop.worker` reads it and gives it to the agent as a `Turn`.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from baton import codec
from baton.errors import EnvelopeDecodeError, EnvelopeVersionError

SCHEMA = "1.0"
"""Version that this library writes: `major.minor`. Readers ignore fields they do not know."""
SUPPORTED_MAJORS = (1,)
"""Majors that this library reads: the current one and, once there is one, the one before."""
WIRE_LIMIT_BYTES = 256 * 1024
"""Above this a body carries no texts but `by_reference`; the receiver reads the journal."""

Kind = Literal["route", "handoff", "reply", "resume"]

_RUN_ID = re.compile("[0-9a-f]{32}")
_SEQ = re.compile("[0-9]{1,9}")
_DIGEST_BYTES = len(b',"digest":"') + 64 + len(b'"}')


class _Part(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore", populate_by_name=True)


class Message(_Part):
    """One thing said in a conversation; stored once, never changed."""

    position: int = Field(ge=0)
    """Its place in the conversation's log, from 0."""
    role: Literal["user", "agent", "person"]
    """Who speaks: the requester, an agent, or a person at the desk."""
    name: str | None = None
    """The agent's name; None for the user."""
    text: str
    data: Any = None
    """What an agent added for programs; any JSON value."""


class TrailEntry(_Part):
    """One hop that is over."""

    seq: int = Field(ge=0)
    agent: str
    did: str
    """`classified`, `sticky`, `addressed`, `shifted`, `handoff`, `fallback`, `ask`, `answer`."""
    to: str | None = None
    """The agent that control went to; None at the end of a run."""
    reason: str = ""
    progress: int = 0
    """The run's progress mark when the hop ended; see `protocol.guards.no_progress`."""


class Budget(_Part):
    """What the run may still use; carried along, so that it holds across services."""

    max_hops: int = Field(ge=1)
    hops_left: int = Field(ge=0)
    """Route and handoff hops that may still follow this one."""
    deadline_left_s: float | None = None
    """Seconds to the run's deadline when this envelope was made; None: no deadline."""
    tokens_left: int | None = None
    cost_left: float | None = None


class Guard(_Part):
    """Marks from which the no-progress guard works."""

    progress: int = 0
    """Grows with each new message of a person, new fact value and new step."""
    seen: tuple[str, ...] = ()
    """Fingerprints (16 hex digits) of the fact values seen in this run."""


class Envelope(_Part):
    """The context of one hop. `text` and `messages` are stored apart, once per conversation."""

    schema_version: str = Field(default=SCHEMA, alias="schema")
    run_id: str
    conversation_id: str
    tenant: str = "default"
    seq: int = Field(ge=0)
    agent: str
    """Whom it is for."""
    from_agent: str | None = Field(default=None, alias="from")
    kind: Kind
    skill: str | None = None
    """The skill the router chose; None after a handoff."""
    reason: str = ""
    summary: str | None = None
    facts: dict[str, Any] = Field(default_factory=dict)
    trail: tuple[TrailEntry, ...] = ()
    budget: Budget
    guard: Guard = Guard()
    reply: str | None = None
    """The user's reply to this agent's question, in a hop of kind `reply`."""
    shift: tuple[tuple[str, float], ...] = ()
    """Up to two agents that the user's message points to instead, with scores."""
    text_position: int = 0
    """Where in the log the request's own text stands."""
    log_length: int = 1
    """Messages in the conversation's log when this envelope was made."""
    spans: tuple[tuple[int, int], ...] = ()
    """Positions of the transferred messages, as ranges `[first, last)`."""
    then: tuple[Any, ...] = ()
    """Reserved."""
    by_reference: bool = Field(default=False, exclude=True)
    """True: the texts are in the journal only."""
    text: str | None = Field(default=None, exclude=True)
    """The request's text, where its message is not among those transferred."""
    messages: tuple[Message, ...] = Field(default=(), exclude=True)

    @property
    def request_text(self) -> str:
        """The request's own text."""
        if self.text is not None:
            return self.text
        return next((one.text for one in self.messages if one.position == self.text_position), "")

    @property
    def has_whole_log(self) -> bool:
        """True where every message of the conversation was transferred."""
        return self.spans == ((0, self.log_length),)

    def head(self) -> bytes:
        """Return everything but the texts: what the hop's row stores."""
        return self.model_dump_json(by_alias=True).encode()

    def wire(self, head: bytes | None = None) -> tuple[bytes, str]:
        """Return the body for the queue and its digest.

        The digest is the sha256 of the body without its last member, which is the digest itself;
        so a reader in any language checks bytes and needs no canonical form.

        Args:
            head: `self.head()`, where the caller has it already.
        """
        text = b"" if self.text is None else b',"text":' + codec.encode(self.text)
        return seal((head or self.head())[:-1] + text + b',"messages":' + _MESSAGES.dump_json(self.messages) + b"}")


def seal(body: bytes) -> tuple[bytes, str]:
    """Return `body`, a JSON object, with its digest as the last member, and the digest."""
    digest = codec.digest(body)
    return body[:-1] + b',"digest":"' + digest.encode() + b'"}', digest


def sealed_digest(body: bytes) -> str | None:
    """Return the digest of a body if the body is whole, else None."""
    core, tail = body[:-_DIGEST_BYTES], body[-_DIGEST_BYTES:]
    if not tail.startswith(b',"digest":"'):
        return None
    found = tail[len(b',"digest":"') : -2].decode("ascii", "replace")
    return found if codec.digest(core, b"}") == found else None


def reference(run_id: str, seq: int, agent: str) -> bytes:
    """Return a body that names a hop and leaves its context to the journal."""
    return seal(codec.encode({"schema": SCHEMA, "run_id": run_id, "seq": seq, "agent": agent, "by_reference": True}))[0]


class _Naming(_Part):
    """What every body has, whatever its version."""

    schema_version: str = Field(alias="schema")
    run_id: str = Field(pattern="^[0-9a-f]{32}$")
    seq: int = Field(ge=0, lt=2**31)


class HopName(NamedTuple):
    """Which hop a message is for."""

    run_id: str
    seq: int

    @classmethod
    def of(cls, headers: Mapping[str, str], body: bytes) -> "HopName":
        """Return which hop a message is for: by its headers, or where they lack, its body.

        Raises:
            EnvelopeDecodeError: The body is no JSON object with a run and a seq.
            EnvelopeVersionError: The schema major is unknown.
        """
        version, run_id, seq = headers.get("baton-schema"), headers.get("baton-run"), headers.get("baton-seq")
        if version is None or run_id is None or seq is None or not _SEQ.fullmatch(seq) or not _RUN_ID.fullmatch(run_id):
            return cls.read(body)
        _check_major(version)
        return cls(run_id, int(seq))

    @classmethod
    def read(cls, body: bytes) -> "HopName":
        """Return which hop `body` is for.

        Raises:
            EnvelopeDecodeError: It is no JSON object with a run and a seq.
            EnvelopeVersionError: Its schema major is unknown.
        """
        try:
            name = _Naming.model_validate_json(body)
        except ValidationError as error:
            raise EnvelopeDecodeError(_first(error)) from error
        _check_major(name.schema_version)
        return cls(name.run_id, name.seq)


def last_said(envelope: Envelope, role: str) -> str:
    """Return what was said last by `user`, `agent` or `person`, as far as it was transferred; else the empty text."""
    return next((message.text for message in reversed(envelope.messages) if message.role == role), "")


def decode(body: bytes) -> Envelope:
    """Return the envelope in a whole body.

    Raises:
        EnvelopeDecodeError: It is no JSON, or lacks what every envelope has.
        EnvelopeVersionError: Its schema major is unknown.
    """
    try:
        envelope = Envelope.model_validate_json(body)
    except ValidationError as error:
        HopName.read(body)  # of an unknown major one can expect no more than which hop it is for
        raise EnvelopeDecodeError(_first(error)) from error
    _check_major(envelope.schema_version)
    return envelope


def restore(head: bytes, text: str | None, messages: tuple[Message, ...]) -> Envelope:
    """Return the envelope of a hop row and the texts from the journal."""
    return decode(head).model_copy(update={"text": text, "messages": messages})


_MESSAGES = TypeAdapter(tuple[Message, ...], config=ConfigDict(defer_build=True))


def _check_major(version: str) -> None:
    major = version.partition(".")[0]
    if major not in map(str, SUPPORTED_MAJORS):
        supported = ", ".join(f"{known}.x" for known in SUPPORTED_MAJORS)
        raise EnvelopeVersionError(version, supported)


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "body"
    return f"no envelope: {where}: {first['msg']} ({error.error_count()} problems)"
