"""How a run begins: the context of hop 0.

In: an accepted request and the place its text got in the conversation. Out: the head of the
router's envelope.
"""

from typing import Any

from baton.envelope import Budget, Envelope, Guard
from baton.protocol.guards import ROUTER, advance
from baton.request import Request


def opening(
    run_id: str,
    tenant: str,
    conversation_id: str,
    request: Request,
    *,
    facts: dict[str, Any],
    text_position: int,
    max_hops: int,
) -> Envelope:
    """Return the envelope of hop 0, without its text.

    Args:
        run_id: The new run.
        tenant: Whose it is.
        conversation_id: The dialogue it belongs to.
        request: What was asked; its text is stored as a message.
        facts: The conversation's, with the request's over them.
        text_position: Where the text stands in the conversation's log.
        max_hops: Route and handoff hops that may follow.
    """
    return Envelope(
        run_id=run_id,
        tenant=tenant,
        conversation_id=conversation_id,
        seq=0,
        agent=ROUTER,
        kind="route",
        facts=facts,
        budget=Budget(max_hops=max_hops, hops_left=max_hops, deadline_left_s=request.deadline_s),
        guard=advance(Guard(), facts, is_new=False),
        text_position=text_position,
        log_length=text_position + 1,
        spans=((text_position, text_position + 1),),
    )
