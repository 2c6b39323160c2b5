"""What follows an error: another attempt, and when, or the end.

In: the error and the attempt. Out: `Retry`, `Fail` or `Fallback`.
"""

from dataclasses import dataclass

from baton.errors import BatonError, HandoffRefusedError, RequestError
from baton.request import Failure

RETRY_CAP_S = 300.0
"""Longest backoff: 5 minutes."""
MESSAGE_LIMIT = 2000
"""Longest message of a failure that is stored, in characters."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Try the hop again after `delay_s` seconds."""

    delay_s: float
    error: Failure


@dataclass(frozen=True, slots=True)
class Fail:
    """End the run."""

    error: Failure


@dataclass(frozen=True, slots=True)
class Fallback:
    """Give the run to the team's fallback."""

    error: Failure


def backoff_s(attempt: int, *, base_s: float, chance: float) -> float:
    """Return how long to wait after a failed attempt: full jitter, exponential, capped at 5 min.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 (full jitter).

    Args:
        attempt: The attempt that failed, 1-based.
        base_s: Upper bound of the first wait, in seconds.
        chance: A random number, 0 to 1.
    """
    return chance * min(RETRY_CAP_S, base_s * 2.0 ** min(attempt - 1, 32))


def after_error(
    error: BaseException, agent: str, attempt: int, max_attempts: int, delay_s: float
) -> Retry | Fail | Fallback:
    """Decide what follows an error in a turn.

    Unknown exceptions count as passing trouble, like `TransientError`, until `max_attempts`.
    """
    failure = failure_of(error, agent)
    disposition = error.disposition if isinstance(error, BatonError) else "retry"
    if isinstance(error, HandoffRefusedError):
        return Fallback(failure)
    if disposition != "retry":
        return Fail(failure)
    if attempt >= max_attempts:
        return Fail(exhausted(agent, attempt, failure))
    return Retry(delay_s, failure)


def exhausted(agent: str, attempts: int, last: Failure | None) -> Failure:
    """Return the failure of a hop that has used its attempts."""
    seen = f"; last: {last.message}" if last else "; the process died in each of them"
    details = {"attempts": attempts, "last": last.model_dump() if last else None}
    return Failure(
        code="max_attempts",
        message=f"agent {agent!r} failed {attempts} of {attempts} attempts{seen}",
        agent=agent,
        details=details,
    )


def failure_of(error: BaseException, agent: str) -> Failure:
    """Return an error as it is stored: its code, type and message, never a request's text."""
    text = _said(error)
    if isinstance(error, BatonError):
        details = {"field": error.field} if isinstance(error, RequestError) else {}
        return Failure(code=error.code, message=text[:MESSAGE_LIMIT], agent=agent, details=details)
    return Failure(code="agent_error", message=f"{type(error).__name__}: {text}"[:MESSAGE_LIMIT], agent=agent)


def _said(error: BaseException) -> str:
    """Return an error's message as text that can be stored, whatever the agent put into it."""
    try:
        text = str(error)
    except Exception:  # an agent's own `__str__`, which must not keep its run from ending
        text = "a message that cannot be shown"
    return text.encode("utf-8", "replace").decode() or "no message"
