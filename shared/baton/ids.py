"""Identifiers: made once, stable for ever, the same in every language.

Out: run ids (also W3C trace ids), message ids and idempotency keys, all derived, none stored twice.
"""

import functools
import secrets
import time
import uuid

NAMESPACE = uuid.UUID("6f1b7c1e-7c4a-5d0e-9a53-0b6a70e0ba70")
"""Namespace of every uuid5 below; fixed for ever, or replays would repeat effects."""

_RANDOM_BITS = 80
_MILLIS_BITS = 48


def new_run_id() -> str:
    """Return 32 lower-case hex digits: 48 bits of Unix milliseconds, 80 random bits.

    Sortable by time, and a valid W3C trace id.
    """
    millis = time.time_ns() // 1_000_000 & ((1 << _MILLIS_BITS) - 1)
    return f"{(millis << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS):032x}"


def first_run_id(at: float) -> str:
    """Return the smallest id that a run made at `at`, Unix seconds, can have."""
    millis = min(max(int(at * 1000), 0), (1 << _MILLIS_BITS) - 1)
    return f"{millis << _RANDOM_BITS:032x}"


def new_id() -> str:
    """Return 32 random hex digits, for claims, waits and batches."""
    return secrets.token_hex(16)


@functools.lru_cache(maxsize=256)  # publishing asks for it several times
def message_id(run_id: str, seq: int) -> str:
    """Return the `message_id` under which a hop's envelope is always published."""
    return str(uuid.uuid5(NAMESPACE, f"{run_id}/{seq}"))


def result_id(run_id: str, wait_id: str | None = None) -> str:
    """Return the stable `message_id` of a run's result, or of the question of one wait."""
    return str(uuid.uuid5(NAMESPACE, f"{run_id}/result" if wait_id is None else f"{run_id}/{wait_id}"))


def rejection_id(body: bytes, key: str | None) -> str:
    """Return the stable `message_id` under which a message is rejected."""
    return str(uuid.uuid5(NAMESPACE, f"rejected/{key or ''}/{body.hex()}"))


def idempotency_key(root_run_id: str, scope: str, step_key: str) -> str:
    """Return the key an effect runs under: the same on every attempt and every redrive.

    Args:
        root_run_id: The first run of a chain of redrives.
        scope: The hop's `seq`, or `agent:<name>` for steps recorded once per run.
        step_key: The key given to `turn.step`.
    """
    return str(uuid.uuid5(NAMESPACE, f"{root_run_id}/{scope}/{step_key}"))
