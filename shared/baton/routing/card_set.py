"""The name of a set of cards, as far as routing goes.

In: cards, in any order. Out: a hash that a trained model, its threshold and its decisions are kept under.
"""

import hashlib
import json
from collections.abc import Iterable

from baton.card import Card


def card_set_hash(cards: Iterable[Card]) -> str:
    """Hash what a classifier reads of `cards`; the same in every process and version of Python.

    Args:
        cards: In any order, and each with its skills in any order. What plays no part in classifying
            (`entry`, `targets`, `version`) does not change the hash.

    Returns:
        64 lower-case hexadecimal digits.

    Source:
        FIPS 180-4 (SHA-256).
    """
    rows = sorted(
        [card.name, card.description, sorted([s.name, *s.examples] for s in card.skills), list(card.examples)]
        for card in cards
    )
    return hashlib.sha256(json.dumps(rows).encode("ascii")).hexdigest()
