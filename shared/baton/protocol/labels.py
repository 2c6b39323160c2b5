"""A person's word on whose a request was: a correction of the router's decision.

In: the name that was given. Out: nothing, or an error that names who there is.
"""

from collections.abc import Collection

from baton.errors import RequestError
from baton.journal.views import NOBODY
from baton.protocol.guards import HUMAN


def check(agent: str, registered: Collection[str]) -> None:
    """Make sure that a request can have been for `agent`.

    Raises:
        RequestError: No such agent is registered; names those that are.
    """
    if agent not in (*registered, HUMAN, NOBODY):
        known = ", ".join([*sorted(registered), HUMAN])
        told = f"no agent {agent!r} is registered; a request was for {known} or {NOBODY}"
        raise RequestError(told, code="unknown_agent", field="agent")
