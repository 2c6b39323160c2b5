"""Named points at which a test can kill this process, as a power cut would.

In: `BATON_FAIL_AT=<point>[:<n>]`, read once and only with `BATON_TESTING=1`. Out: SIGKILL at the
n-th time the point is passed. Without it a point costs one comparison.
"""

import os
import signal
from collections.abc import Mapping

from baton.errors import ConfigError

POINTS = (
    "accept.before_commit",
    "accept.after_commit",
    "hop.delivered",
    "hop.claimed",
    "step.intended",
    "step.done",
    "step.recorded",
    "turn.returned",
    "finish.before_commit",
    "finish.after_commit",
    "hop.published",
    "hop.acked",
    "reply.before_commit",
    "reply.after_commit",
)
"""Every crash point of a run, in the order in which a run passes them."""


class _Armed:
    """The point to die at, and how often it has still to be passed."""

    point: str | None = None
    left = 0


def arm(environ: Mapping[str, str]) -> None:
    """Read the point to die at from `environ`; without `BATON_TESTING=1` none.

    Raises:
        ConfigError: The point is not one of `POINTS`, or the number is none.
    """
    wanted = environ.get("BATON_FAIL_AT", "") if environ.get("BATON_TESTING") == "1" else ""
    point, colon, count = wanted.partition(":")
    if wanted and point not in POINTS:
        raise ConfigError(f"BATON_FAIL_AT names {point!r}; the points are {', '.join(POINTS)}")
    if colon and not (count.isascii() and count.isdigit() and int(count) > 0):
        raise ConfigError(f"BATON_FAIL_AT is {wanted!r}; after the colon comes which passing of it, 1 or more")
    _Armed.point, _Armed.left = point or None, int(count or 1)


def hit(point: str) -> None:
    """Die here if this point is armed and has been passed often enough."""
    if point != _Armed.point:
        return
    _Armed.left -= 1
    if _Armed.left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
