"""Figures of an evaluation as text: what was measured, how sure it was, and who was taken for whom.

In: figures and judged rows or turns. Out: standard output.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from baton.cli.printing import counted, heading, say, table
from baton.evaluation.confusions import MATRIX_AGENTS_MAX, Matrix, confusions, matrix, named
from baton.evaluation.handoffs import Moved, Slip, slips
from baton.evaluation.judged import Judged

PAIRS = 10
"""Confused pairs that are told."""
STAYS = "(stays)"
_BAR = 20  # columns of a share of 1

ROUTING = {
    "accuracy": "in scope: the likeliest agent is right",
    "macro_f1": "its F1, the mean of all agents",
    "answered_accuracy": "in scope: answered, and rightly",
    "coverage": "answered, of all rows",
    "right_of_answered": "right, of the answered",
    "coverage_95": "could be answered at 95 % precision",
    "coverage_98": "could be answered at 98 % precision",
    "oos_recall": "out of scope: not answered",
    "oos_precision": "out of scope, of what was not answered",
    "auroc": "confidence tells in scope from out of scope",
    "oos_recall_rej5": "out of scope: not answered where 5 % of in scope is rejected",
    "accuracy_rej5": "in scope: answered rightly there",
    "ece": "confidence is off by, in the mean",
}
"""Figures of routing that are shares, with what they say."""
HANDOFF = {
    "f1": "of handoffs to the right agent",
    "recall": "switch turns handed off",
    "precision": "handoffs that were due",
    "target": "of these, to the right agent",
    "correct": "switch turns handed to the right agent",
    "turnacc": "stay and switch turns decided rightly",
}
"""Figures of recognition that are shares, with what they say."""


def say_routing(figures: Mapping[str, Any], judged: Sequence[Judged], file: str) -> None:
    """Print the figures of routed rows, with what was confused."""
    told = f", {figures['n_oos']:,} of them out of scope" if figures["n_oos"] else ""
    say(f"{counted(figures['n'], 'row')} of {file!r}{told}")
    threshold = "" if figures["threshold"] is None else f" from confidence {figures['threshold']:.3f} on"
    say(f"{counted(figures['agents'], 'agent')} of {figures['cards']}; {figures['method']}, answers{threshold}")
    heading("Figures")
    _say_shares(ROUTING, figures)
    if "tuned" in figures:
        _say_tuned(figures["tuned"])
    heading("Reliability")
    _say_reliability(figures["reliability"])
    heading("Most confused")
    pairs = confusions(judged)[:PAIRS]
    rows = [[pair.truth, pair.best, f"{pair.count:,}", pair.such_as] for pair in pairs]
    table(["should be", "likeliest", "rows", "such as"], rows, right={"rows"}) if rows else say("none")
    if len(named(judged)) <= MATRIX_AGENTS_MAX:
        heading("Likeliest agent, by the right one")
        _say_matrix(matrix(judged))


def say_handoff(figures: Mapping[str, Any], moved: Sequence[Moved], file: str) -> None:
    """Print the figures of recognised turns, with what went wrong."""
    say(
        f"{figures['n_stay']:,} stay and {figures['n_switch']:,} switch turns of {file!r}; "
        f"{counted(figures['agents'], 'agent')}, at most {counted(figures['shots'], 'example')} each, "
        f"seed {figures['seed']}; {figures['method']}, budget {figures['budget']:.1%}"
    )
    heading("Figures")
    _say_shares(HANDOFF, figures)
    false = "-" if figures["false"] is None else f"{figures['false']:.2f}"
    mixed, start = figures["mixed"], figures["start"]
    say(f"{false.rjust(7)}  handoffs per 100 stay turns")
    handed = f"{_percent(mixed['handed_off'])} % handed off, {_percent(mixed['target'])} % of these to one of the two"
    say(f"{mixed['n']:>7,}  turns ask two agents: {handed}")
    say(f"{start['n']:>7,}  first requests: {_percent(start['accuracy'])} % with the right agent the likeliest")
    heading("What went wrong most")
    rows = [
        [slip.active, slip.to or STAYS, _wanted(slip), f"{slip.count:,}", slip.such_as] for slip in slips(moved)[:PAIRS]
    ]
    table(["active", "went to", "should go to", "turns", "such as"], rows, right={"turns"}) if rows else say("nothing")


def _wanted(slip: Slip) -> str:
    return STAYS if slip.wanted == slip.active else slip.wanted


def _say_shares(names: Mapping[str, str], figures: Mapping[str, Any]) -> None:
    rows = [[name, _percent(figures[name]), meaning] for name, meaning in names.items() if figures[name] is not None]
    table(["figure", "%", "of what"], rows, right={"%"})


def _say_tuned(tuned: Mapping[str, Any]) -> None:
    heading("With the best threshold on the other rows")
    meanings = {name: ROUTING["answered_accuracy" if name == "accuracy" else name] for name in tuned if name in ROUTING}
    say(f"threshold {tuned['threshold']:.4f}")
    _say_shares(meanings, tuned)


def _say_reliability(bins: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        [
            f"{part['from']:.1f}-{part['to']:.1f}",
            f"{part['n']:,}",
            _percent(part["confidence"]),
            _percent(part["right"]),
            "#" * round(part["right"] * _BAR),
        ]
        for part in bins
    ]
    table(["confidence", "rows", "mean", "right", ""], rows, right={"rows", "mean", "right"})


def _say_matrix(found: Matrix) -> None:
    columns = ["", *found.agents, "of these unsure"]
    rows = [
        [truth, *(f"{count:,}" if count else "." for count in counts), f"{unsure:,}"]
        for truth, counts, unsure in zip(found.truths, found.counts, found.unsure, strict=True)
    ]
    table(columns, rows, right=set(columns[1:]))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"
