"""The threshold that labelled traffic gave, in place of the one that the cards alone give.

In: what `baton eval calibrate` stored in the journal. Out: the decision as it is with that threshold.
"""

from dataclasses import dataclass, replace

from baton import codec
from baton.routing.decision import RouteDecision


@dataclass(frozen=True, slots=True)
class StoredThreshold:
    """A threshold, and what it was found with: it means nothing to other cards or another model."""

    cards: str
    """`card_set_hash` of the routable cards."""
    model: str
    """`RouteDecision.model` of the decisions it was found on."""
    value: float
    """0 to 1; comparable with `RouteDecision.confidence`."""

    def fits(self, decision: RouteDecision) -> bool:
        """Return True where the decision is one of the model that this was found with."""
        return decision.model == self.model and decision.best is not None

    def encoded(self) -> str:
        """Return it as journals keep it: JSON."""
        return codec.encode(self).decode()


def decoded(stored: str | None) -> StoredThreshold | None:
    """Return what `StoredThreshold.encoded` gave; None for None."""
    if stored is None:
        return None
    fields = codec.decode(stored)
    return StoredThreshold(str(fields["cards"]), str(fields["model"]), float(fields["value"]))


def applied(decision: RouteDecision, stored: StoredThreshold | None) -> RouteDecision:
    """Return what a classifier's decision is with the stored threshold; the same where that does not fit."""
    if stored is None or not stored.fits(decision):
        return decision
    is_sure = decision.confidence >= stored.value
    return replace(
        decision,
        agent=decision.best if is_sure else None,
        skill=decision.best_skill if is_sure else None,
        threshold=stored.value,
    )
