"""Every error Baton raises, and what the hop loop does about it.

BatonError
├── ConfigError                          at start-up; exit code 2
│   ├── TeamError                        agents, edges, names
│   └── TargetError                      `module[:attr]` that cannot be loaded
├── RequestError                         rejected: nothing was accepted
│   ├── IdempotencyConflictError         same key, other body
│   └── NotWaitingError                  a reply or cancel that came second
├── EnvelopeError                        quarantine
│   ├── EnvelopeDecodeError
│   └── EnvelopeVersionError             an unknown newer major: later, not never
├── TurnError                            an agent's turn did what it may not
│   ├── OutcomeError                     returned no Answer, Handoff or Ask → fail
│   ├── HandoffRefusedError              target unknown, undeclared or itself → fallback
│   ├── StepKeyReusedError               one key, two meanings → fail, or review on a replay
│   ├── FactsError                       facts too large, or not what the target needs → fail
│   ├── StepResultError                  a result that is no JSON or too large → fail
│   └── TurnTimeoutError                 the turn took longer than its `timeout_s` → retry
├── TransientError                       raised by agents → retry
├── PermanentError                       raised by agents → fail
├── BrokerError                          the hop stays pending; the poll finds it
│   ├── UnroutableError
│   └── BrokerUnavailableError
├── JournalError
│   ├── JournalBusyError                 another process serves this journal
│   ├── JournalVersionError              foreign, corrupt or newer
│   └── JournalUnavailableError          disk full, I/O error: nothing was written
├── NotFoundError                        no such run, wait or agent
├── ResultTimeoutError                   to the client only
└── NobodyServesError                    to the client only; exit code 3
"""

from typing import ClassVar, Literal

Disposition = Literal["retry", "fail", "fallback", "review"]


class BatonError(Exception):
    """Base of every error that Baton raises."""

    code: ClassVar[str] = "error"
    """Stable identifier, as it stands in results, events and quarantine rows."""
    disposition: ClassVar[Disposition] = "fail"
    """What `protocol.settle` does with a hop whose turn raised this."""


class ConfigError(BatonError):
    """Settings, a team or a target cannot be used; raised at start."""

    code = "config"

    def __init__(self, problems: str | list[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class TeamError(ConfigError):
    """Agents, edges or names do not make a team."""

    code = "team"


class TargetError(ConfigError):
    """A target names nothing that can be run."""

    code = "target"


class RequestError(BatonError):
    """A request, reply or cancel was rejected; nothing was recorded as accepted."""

    code = "bad_request"

    def __init__(self, message: str, *, code: str = "bad_request", field: str | None = None) -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]  # an instance is more precise than its class
        self.field = field


class IdempotencyConflictError(RequestError):
    """The idempotency key was used before with another body."""

    def __init__(self, key: str) -> None:
        message = f"idempotency key {key!r} was used before with another body; use a new key"
        super().__init__(message, code="idempotency_conflict", field="idempotency_key")


class NotWaitingError(RequestError):
    """A reply came to a wait that is over; `outcome` says how it ended."""

    def __init__(self, wait_id: str, outcome: str) -> None:
        message = f"wait {wait_id!r} is over: {outcome}; a reply needs a wait that is open"
        super().__init__(message, code="not_waiting", field="wait_id")
        self.outcome = outcome


class EnvelopeError(BatonError):
    """A message on a queue is no envelope that can be worked on."""

    code = "envelope"


class EnvelopeDecodeError(EnvelopeError):
    """The bytes are no JSON, or lack what every envelope has."""

    code = "envelope_decode"


class EnvelopeVersionError(EnvelopeError):
    """The envelope has a schema major that this reader does not know."""

    code = "envelope_version"

    def __init__(self, found: str, supported: str) -> None:
        super().__init__(f"envelope schema {found!r}; this reader knows {supported}")
        self.found = found
        self.supported = supported


class TurnError(BatonError):
    """An agent's turn did what a turn may not do."""

    code = "turn"


class OutcomeError(TurnError):
    """A turn returned something else than an Answer, a Handoff or an Ask."""

    code = "bad_outcome"


class HandoffRefusedError(TurnError):
    """A handoff to a target that is unknown, undeclared or the agent itself."""

    code = "handoff_refused"
    disposition = "fallback"

    def __init__(self, message: str, *, target: str, allowed: list[str]) -> None:
        super().__init__(message)
        self.target = target
        self.allowed = allowed


class StepKeyReusedError(TurnError):
    """A step key was met twice in one attempt, or with other arguments."""

    code = "step_key_reused"


class FactsError(TurnError):
    """Facts are too large, are no JSON, or are not what the target needs."""

    code = "facts"


class StepResultError(TurnError):
    """A step returned what cannot be recorded: no JSON, or over 1 MiB."""

    code = "step_result"


class TurnTimeoutError(TurnError):
    """A turn took longer than its agent's `timeout_s`."""

    code = "turn_timeout"
    disposition = "retry"


class TransientError(BatonError):
    """Raise it in a turn or step: try this hop again later."""

    code = "transient"
    disposition = "retry"


class PermanentError(BatonError):
    """Raise it in a turn or step: the run fails now, without retry."""

    code = "permanent"


class BrokerError(BatonError):
    """The broker did not take a message; the journal still has it."""

    code = "broker"
    disposition = "retry"


class UnroutableError(BrokerError):
    """No queue is bound for the target."""

    code = "unroutable"

    def __init__(self, target: str) -> None:
        super().__init__(f"no queue for {target!r}: that agent is not deployed here")
        self.target = target


class BrokerUnavailableError(BrokerError):
    """No confirm in time; the message may or may not have arrived."""

    code = "broker_unavailable"


class JournalError(BatonError):
    """The journal cannot be used as asked."""

    code = "journal"


class JournalBusyError(JournalError):
    """Another process serves this journal."""

    code = "journal_busy"

    def __init__(self, path: str, pid: int | None) -> None:
        holder = f"process {pid}" if pid else "another process"
        super().__init__(
            f"{holder} already serves the journal {path!r}; one process serves a SQLite journal. "
            "Stop it, or give this one its own BATON_JOURNAL_URL"
        )
        self.pid = pid


class JournalVersionError(JournalError):
    """The file is no journal, is damaged, or was written by a newer Baton."""

    code = "journal_version"


class JournalUnavailableError(JournalError):
    """The journal could not write (disk full, I/O error); nothing was changed."""

    code = "journal_unavailable"
    disposition = "retry"


class NotFoundError(BatonError):
    """There is no such run, wait or agent."""

    code = "not_found"


class ResultTimeoutError(BatonError):
    """The run did not end within the time the client gave it; it goes on."""

    code = "timeout"

    def __init__(self, run_id: str, timeout_s: float) -> None:
        super().__init__(f"run {run_id} did not end within {timeout_s:g} s; it goes on")
        self.run_id = run_id
        self.timeout_s = timeout_s


class NobodyServesError(BatonError):
    """No process serves the journal, so nothing would work on the request."""

    code = "nobody_serves"
