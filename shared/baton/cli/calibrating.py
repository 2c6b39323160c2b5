"""`baton eval calibrate`: the threshold from labelled traffic instead of from the cards alone.

In: labelled rows of a file or of the journal, and today's cards. Out: a threshold, shown beside the one in use,
and stored in the journal where that is asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer

from baton.card import Card
from baton.cli import deciding, eval_text, exits, opening, printing, routing
from baton.cli.eval_traffic import decisions
from baton.cli.options import JSON, TEAM, since
from baton.cli.printing import counted, heading, say, say_json, table
from baton.cli.progress import progress
from baton.cli.traffic import chosen, meant
from baton.errors import ConfigError
from baton.evaluation.figures import answered_accuracy, oos_recall, rounded_all, share
from baton.evaluation.judged import Judged, at_threshold
from baton.evaluation.owners import Owners
from baton.evaluation.rows import Departments, read_rows
from baton.journal.views import NOBODY, DecisionFilter
from baton.protocol.route import routable
from baton.routing.card_set import card_set_hash
from baton.routing.decision import Classifier
from baton.routing.rules import RULE, match
from baton.routing.stored_threshold import StoredThreshold

LEAST_OWN = 30
"""Rows of agents: with fewer, a share of `REJECT_SHARE` is three of them or less, which may be chance."""
LEAST_FOREIGN = 10
"""Rows out of scope; with fewer, what the cards tell of foreign requests is the better guess."""
REJECT_SHARE = 0.1
"""Of the rows of agents that may fall below the threshold. Of the cards' own examples a fifth may, since each is judged
without itself; real requests are not."""
_MONTH_S = 30 * 86_400.0
_FILE = Annotated[
    str | None, typer.Argument(metavar="[FILE]", help="Labelled rows, JSON lines; else the journal's labelled runs.")
]
_SINCE = Annotated[float, since("30 d", where="Without FILE:")]
_APPLY = Annotated[bool, typer.Option("--apply", help="Store it in the journal: routers use it at once.")]
_FORGET = Annotated[bool, typer.Option("--forget", help="Remove what is stored: the cards' own counts again.")]
_COLUMNS = ("coverage", "right_of_answered", "answered_accuracy", "oos_recall")


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled request."""

    text: str
    agent: str | None
    """None: no agent's."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What a threshold is found on."""

    kept: Sequence[Row]
    source: str
    left_out: int = 0
    """Rows that say nothing about the threshold."""


@dataclass(frozen=True, slots=True)
class Found:
    """A threshold for today's cards, and what it is better at."""

    proposed: StoredThreshold
    judged: Sequence[Judged]
    of_cards: float
    """The threshold from the cards alone."""
    foreign_from: str
    """`rows`, or `cards` where there were too few rows out of scope."""


def register(eval_app: typer.Typer) -> None:
    """Add `calibrate` to the commands of `eval`."""
    exits.add(eval_app, "calibrate", calibrate)


async def calibrate(
    file: _FILE = None,
    since_s: _SINCE = _MONTH_S,
    team: TEAM = None,
    apply: _APPLY = False,
    forget: _FORGET = False,
    json: JSON = False,
) -> int:
    """Find the confidence below which the router should abstain, from labelled requests.

    FILE is as `baton eval export --labelled` writes it; without it, requests that people labelled with `baton label`
    are read from the journal. Rows that are examples of a card, word by word, are left out: they are not new to it.
    What is stored counts for these cards and this model; once they change, the cards' own threshold does again.
    """
    if forget:
        return await _forget(file=file, is_applied=apply, json=json)
    cards = await routing.cards_of(team)
    able = routable(cards.graph.cards)
    rows = _new_to(able, _of_file(file, able) if file else await _of_journal(since_s, able))
    found = find(cards.classifier, able, rows)
    if apply:
        await _store(found.proposed)
    if json:
        say_json(_as_json(found, rows, cards) | {"applied": apply})
    else:
        _show(found, rows, cards, is_applied=apply)
    return exits.DONE


def find(classifier: Classifier, cards: Sequence[Card], rows: Rows) -> Found:
    """Choose the threshold.

    Args:
        classifier: That decides today.
        cards: The routable agents.
        rows: Labelled requests.

    Raises:
        ConfigError: There are too few rows, or the classifier tells nothing that a threshold could be kept for.
    """
    own_count = sum(row.agent is not None for row in rows.kept)
    if own_count < LEAST_OWN:
        left = f" ({counted(rows.left_out, 'row')} left out)" if rows.left_out else ""
        raise ConfigError(
            f"{counted(own_count, 'labelled row')} of agents in {rows.source}{left}; at least {LEAST_OWN} are needed: "
            "label more with `baton label RUN AGENT`, or look further back with --since"
        )
    with progress("classifying", len(rows.kept)) as advance:
        decided = deciding.decide_all(classifier, [row.text for row in rows.kept], cards, advance)
    models = {decision.model for decision in decided}
    model = decided[0].model
    if model is None or len(models) > 1:
        told = decided[0].method
        raise ConfigError(f"the classifier ({told}) names no one model of its own, so no threshold can be kept for it")
    judged = [Judged.of(decision, row.agent, row.text) for decision, row in zip(decided, rows.kept, strict=True)]
    foreign, foreign_from = _foreign(classifier, cards, judged)
    value = _best(judged, foreign)
    return Found(
        StoredThreshold(card_set_hash(cards), model, value), judged, decided[0].threshold, foreign_from=foreign_from
    )


def _foreign(classifier: Classifier, cards: Sequence[Card], judged: Sequence[Judged]) -> tuple[list[list[float]], str]:
    """Return confidences of requests that nobody handles, by kind, and whether they are `rows` or of the `cards`."""
    from baton.routing.offline import OfflineClassifier

    rows = [one.confidence for one in judged if one.is_oos]
    if len(rows) >= LEAST_FOREIGN:
        return [rows], "rows"
    if not isinstance(classifier, OfflineClassifier):
        raise ConfigError(
            f"{counted(len(rows), 'row')} out of scope; at least {LEAST_FOREIGN} are needed with a classifier of "
            "one's own: label requests that no agent handles as `nobody`"
        )
    return classifier.foreign_confidences(cards), "cards"


def _best(judged: Sequence[Judged], foreign: Sequence[Sequence[float]]) -> float:
    from baton.routing.calibration import traffic_threshold

    own = [(one.confidence, one.is_right) for one in judged if not one.is_oos]
    return traffic_threshold(own, foreign, reject_share=REJECT_SHARE)


def _of_file(path: str, cards: Sequence[Card]) -> Rows:
    rows = read_rows(path)
    owners = Owners.of_cards(cards, Departments(), by_agent=True).all(rows, path)
    # Facts are not in the file, so patterns alone tell what rules take.
    kept = [Row(row.text, to) for row, to in zip(rows, owners, strict=True) if match(row.text, {}, cards) is None]
    return Rows(kept, f"{path!r}", len(rows) - len(kept))


async def _of_journal(since_s: float, cards: Sequence[Card]) -> Rows:
    """Return the labelled requests that a classifier was asked about, and whose agent may be chosen today."""
    kept, left_out, able = [], 0, {card.name for card in cards}
    async with opening.opened() as at:
        with progress("reading labelled runs"):
            async for one in decisions(at.journal, DecisionFilter(since_s=since_s, is_labelled=True)):
                agent = meant(one)
                # What a rule took, or stayed with its agent, is not for the threshold to decide.
                if chosen(one) is None or one.routed["method"] == RULE or agent not in {*able, NOBODY}:
                    left_out += 1
                else:
                    kept.append(Row(one.text, None if agent == NOBODY else agent))
        return Rows(kept, f"{printing.seconds(since_s)} of the {opening.shown(at.journal)}", left_out)


def _new_to(cards: Sequence[Card], rows: Rows) -> Rows:
    """Leave out what the cards have as an example: it scores higher than a request that is new."""
    known = {_plain(text) for card in cards for text in card.examples}
    known |= {_plain(text) for card in cards for skill in card.skills for text in skill.examples}
    kept = [row for row in rows.kept if _plain(row.text) not in known]
    return Rows(kept, rows.source, rows.left_out + len(rows.kept) - len(kept))


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


async def _store(threshold: StoredThreshold) -> None:
    async with opening.opened() as at:
        await at.journal.calibrate(threshold)
        graph = await at.journal.registry()
    if card_set_hash(routable(graph.cards)) != threshold.cards:
        printing.tell("the registered agents have other cards: what was stored counts once they have these")


async def _forget(*, file: str | None, is_applied: bool, json: bool) -> int:
    if file is not None or is_applied:
        raise ConfigError("--forget goes with neither FILE nor --apply: it finds no threshold")
    async with opening.opened() as at:
        stored = (await at.journal.registry()).threshold
        await at.journal.calibrate(None)
    if json:
        say_json({"forgotten": stored and asdict(stored)})
    else:
        say(f"forgotten: {stored.value:.3f}, of {stored.model}" if stored else "none was stored")
    return exits.DONE


def _figures(found: Found, threshold: float) -> dict[str, Any]:
    """Return a threshold with its figures, named and defined as those of `baton eval routing`."""
    judged = at_threshold(found.judged, threshold)
    answered = [one for one in judged if one.is_answered]
    figures = {
        "threshold": threshold,
        "coverage": share(len(answered), len(judged)),
        "right_of_answered": share(sum(one.is_right for one in answered), len(answered)),
        "answered_accuracy": answered_accuracy(judged),
        "oos_recall": oos_recall(judged),
    }
    rounded: dict[str, Any] = rounded_all(figures)
    return rounded


def _compared(found: Found, cards: routing.Cards) -> dict[str, Mapping[str, Any]]:
    """Return the figures of each threshold: from the cards, stored before and still in use, proposed."""
    stored = cards.graph.threshold
    in_use = {"stored": stored.value} if stored and stored.model == found.proposed.model else {}
    thresholds = {"cards": found.of_cards, **in_use, "proposed": found.proposed.value}
    return {name: _figures(found, threshold) for name, threshold in thresholds.items()}


def _as_json(found: Found, rows: Rows, cards: routing.Cards) -> dict[str, Any]:
    return {
        "n": len(found.judged),
        "n_oos": sum(one.is_oos for one in found.judged),
        "left_out": rows.left_out,
        "cards": cards.source,
        "model": found.proposed.model,
        "foreign_from": found.foreign_from,
        "thresholds": _compared(found, cards),
    }


def _show(found: Found, rows: Rows, cards: routing.Cards, *, is_applied: bool) -> None:
    foreign = sum(one.is_oos for one in found.judged)
    left = f"; {counted(rows.left_out, 'row')} left out" if rows.left_out else ""
    say(f"{counted(len(found.judged), 'row')} of {rows.source}, {foreign:,} of them out of scope{left}")
    say(f"{counted(len(cards.graph.cards), 'card')} of {cards.source}; {found.proposed.model}")
    if found.foreign_from == "cards":
        say(
            f"{counted(foreign, 'row')} out of scope, fewer than {LEAST_FOREIGN}: the cards themselves tell what "
            "foreign requests score; label those that no agent handles as `nobody`"
        )
    heading("Thresholds on these rows")
    lines = [
        [name, f"{figures['threshold']:.3f}", *(_percent(figures[column]) for column in _COLUMNS)]
        for name, figures in _compared(found, cards).items()
    ]
    table(["from", "threshold", *(f"{name} %" for name in _COLUMNS)], lines)
    for name in _COLUMNS:
        say(f"  {name}: {eval_text.ROUTING[name]}")
    if is_applied:
        say("stored: routers use it within a second; `baton eval calibrate --forget` removes it")
    else:
        say("the same command with --apply stores the proposed one, for these cards")


def _percent(part: float | None) -> str:
    return "-" if part is None else f"{100 * part:.1f}"
