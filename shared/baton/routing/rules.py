"""Rules: requests that are surely one agent's, told by a pattern or by facts before anything is classified.

In: a request and the cards. Out: a `RouteDecision` with method `rule`, or None: it is to be classified.
"""

import logging
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

from baton import codec
from baton.card import Card, Rule
from baton.routing.decision import RouteDecision

RULE = "rule"
MAX_CHARS = 2_000
"""What is read of a text, as by the classifier: what somebody wants stands at the start."""
MAX_PATTERN_CHARS = 1_000
"""Longest pattern."""
_MAX_PROGRAM_BYTES = 512 * 1024  # with it the worst pattern found takes 0.08 s for MAX_CHARS

logger = logging.getLogger("baton.routing")


class _Pattern(Protocol):
    def search(self, text: bytes) -> object: ...


def match(
    text: str, facts: Mapping[str, Any], cards: Sequence[Card], without: frozenset[str] = frozenset()
) -> RouteDecision | None:
    """Return whom a rule gives the request to.

    Args:
        text: The request; its first `MAX_CHARS` characters are read, as if it ended there.
        facts: Of the conversation, the request's own among them.
        cards: In any order. The rules of agents with `entry=False` do not count.
        without: Agents that are not to be chosen.

    Returns:
        Confidence 1, threshold 0. Of an agent's rules that hold, the one with the most conditions counts, then
        the first; of two agents, the one whose rule has more conditions. None: no rule holds, or those of two
        agents with equally many conditions do; then the classifier decides, and neither rule counts.
    """
    read = text[:MAX_CHARS].encode("utf-8", errors="replace")
    held: list[tuple[int, Card, Rule]] = []
    for card in cards:
        if card.entry and card.name not in without:
            found = [rule for rule in card.rules if _is_usable(card, rule) and _holds(rule, read, facts)]
            if found:
                best = max(found, key=_conditions)
                held.append((_conditions(best), card, best))
    most = max((count for count, _, _ in held), default=0)
    first = [(card, rule) for count, card, rule in held if count == most]
    return _decision(*first[0]) if len(first) == 1 else None


def problems(rule: Rule) -> list[str]:
    """Return what is wrong with a rule, to whoever declares it; empty: nothing."""
    told = [f"it knows no condition {name!r}; conditions are pattern and facts" for name in rule.model_extra or ()]
    if not told and _conditions(rule) == 0:
        told.append("it has no condition and would hold for every request; give it a pattern or facts")
    if rule.pattern is not None and isinstance(why := _compiled(rule.pattern), str):
        told.append(f"its pattern {rule.pattern[:80]!r} cannot be used: {why}")
    try:
        codec.plain(dict(rule.facts))
    except ValueError as error:
        told.append(f"its facts are {error}")
    return told


def _is_usable(card: Card, rule: Rule) -> bool:
    """Return False for a rule that this process cannot check, and warn of it once."""
    why = None
    if rule.model_extra:
        why = f"conditions that this version does not know: {', '.join(sorted(rule.model_extra))}"
    elif rule.pattern is not None and isinstance(found := _compiled(rule.pattern), str):
        why = f"the pattern {rule.pattern[:80]!r}: {found}"
    if why is not None:
        _warn(card.name, why)
    return why is None and _conditions(rule) > 0


@lru_cache(maxsize=1024)
def _warn(agent: str, why: str) -> None:
    logger.warning("a rule of agent %r is skipped: %s", agent, why)


def _conditions(rule: Rule) -> int:
    return (rule.pattern is not None) + len(rule.facts)


def _holds(rule: Rule, text: bytes, facts: Mapping[str, Any]) -> bool:
    if any(name not in facts or not _are_equal(facts[name], value) for name, value in rule.facts.items()):
        return False
    if rule.pattern is None:
        return True
    found = _compiled(rule.pattern)
    return not isinstance(found, str) and found.search(text) is not None


def _are_equal(one: Any, other: Any) -> bool:
    """Compare as JSON: `True` is not 1, the order of an object's keys plays no part."""
    return codec.fingerprint(one) == codec.fingerprint(other)


def _decision(card: Card, rule: Rule) -> RouteDecision:
    conditions = [f"the text matches /{rule.pattern}/"] if rule.pattern is not None else []
    conditions += [f"{name} is {codec.encode(value).decode()}" for name, value in sorted(rule.facts.items())]
    known = {skill.name for skill in card.skills}
    return RouteDecision(
        agent=card.name,
        skill=rule.skill if rule.skill in known else None,
        confidence=1.0,
        runner_up=None,
        margin=1.0,
        method=RULE,
        best=card.name,
        note=f"a rule of {card.name}: {', '.join(conditions)}"[:500],
    )


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> _Pattern | str:
    """Return a pattern ready to search bytes, or why it cannot be used.

    Source:
        RE2 (github.com/google/re2): the time is linear in the text, whatever the pattern. Patterns come from
        other teams' cards, and one that backtracks for minutes would hold the interpreter's lock meanwhile.
    """
    if not pattern or len(pattern) > MAX_PATTERN_CHARS:
        return f"it has {len(pattern)} characters; 1 to {MAX_PATTERN_CHARS} are allowed"
    try:
        import re2
    except ImportError as error:
        return f"google-re2 is not installed ({error})"
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_PROGRAM_BYTES
    try:
        compiled: _Pattern = re2.compile(pattern.encode(), options)
    except UnicodeEncodeError:
        return "it holds a lone surrogate"
    except re2.error as error:
        return _explained(error, pattern)
    return compiled


def _explained(error: Exception, pattern: str) -> str:
    """Return RE2's words, which end with the part that is wrong, and where that stands."""
    said = error.args[0] if error.args else ""
    words = said.decode("utf-8", errors="replace") if isinstance(said, bytes) else str(said)
    part = words.rpartition(": ")[2]
    at = pattern.find(part) if part and part != pattern else -1
    return words + (f", at character {at + 1}" if at >= 0 else "")
