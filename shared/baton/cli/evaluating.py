"""`baton eval routing` and `baton eval handoff`: how well a model does on labelled data.

In: files of labelled rows or dialogues, and cards. Out: figures as text, as one JSON object, as a picture.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from baton.cli import deciding, eval_inputs, eval_svg, eval_text, exits
from baton.cli.eval_inputs import Basis, Sources
from baton.cli.options import JSON, TEAM
from baton.cli.printing import say_json, tell
from baton.cli.progress import progress
from baton.errors import ConfigError
from baton.evaluation import splits
from baton.evaluation.card_files import read_cards
from baton.evaluation.confusions import confusions
from baton.evaluation.curves import tuned_threshold
from baton.evaluation.dialogues import DialogueTurn, check_agents, read_dialogues
from baton.evaluation.figures import rounded_all, routing_figures, share, tuned_figures
from baton.evaluation.handoffs import Moved, handoff_figures
from baton.evaluation.judged import Judged
from baton.evaluation.rows import LabelledRow, read_rows
from baton.routing.decision import Classifier, RouteDecision

_SHOTS = 10
_FILE = Annotated[str, typer.Argument(metavar="FILE", help="Labelled rows, JSON lines.")]
_DIALOGUES = Annotated[str, typer.Argument(metavar="FILE", help="Dialogues, JSON lines.")]
_CARDS = Annotated[str | None, typer.Option("--cards", metavar="FILE", help="Take the cards of this file.")]
_CARD_FILE = Annotated[str, typer.Option("--cards", metavar="FILE", help="The agents' cards, JSON lines.")]
_LABELS = Annotated[
    str | None, typer.Option("--labels", metavar="FILE", help="Make agents of these rows; oos rows play foreign.")
]
_TRAIN = Annotated[
    str | None, typer.Option("--train", metavar="FILE", help="Add these labelled rows to the cards, all of them.")
]
_AGENTS = Annotated[
    str | None, typer.Option("--agents", metavar="FILE", help="Who takes which intent: JSON, agents by intent.")
]
_BY = Annotated[
    str | None,
    typer.Option("--by", metavar="agent|intent", help="What rows stand for; else agents where they name any."),
]
_DRAW = Annotated[
    int | None,
    typer.Option("--shots", min=1, help="Draw so many rows an intent, and no oos rows, or so many examples of a card."),
]
_DRAW_EXAMPLES = Annotated[int, typer.Option("--shots", min=0, help="Examples to draw of each card.")]
_SEED = Annotated[int, typer.Option("--seed", help="Of the draw.")]
_THRESHOLD = Annotated[
    str | None, typer.Option("--threshold-from", metavar="FILE", help="Also with the best threshold on these rows.")
]
_LEXICAL = Annotated[bool, typer.Option("--lexical", help="Take the classifier without an encoder.")]
_BUDGET = Annotated[
    float, typer.Option("--budget", min=0.0, max=1.0, help="Share of staying turns that may be handed off.")
]
_SVG = Annotated[Path | None, typer.Option("--svg", metavar="FILE", help="Also write a picture.")]


def register(app: typer.Typer) -> None:
    """Add `eval routing` and `eval handoff` to the commands."""
    exits.add(app, "routing", routing)
    exits.add(app, "handoff", handoff)


async def routing(
    file: _FILE,
    cards: _CARDS = None,
    labels: _LABELS = None,
    shots: _DRAW = None,
    seed: _SEED = 1,
    train: _TRAIN = None,
    agents: _AGENTS = None,
    by: _BY = None,
    threshold_from: _THRESHOLD = None,
    team: TEAM = None,
    lexical: _LEXICAL = False,
    json: JSON = False,
    svg: _SVG = None,
) -> int:
    """Measure who labelled requests would go to.

    Cards are those of a file, made of labelled rows, or those that `baton route` would take.
    Rows: {"text", "intent"[, "agent"]}; what no agent handles has the intent "oos".
    """
    rows = read_rows(file)
    files = {"cards": cards, "labels": labels, "train": train, "agents": agents}
    sources = Sources(**files, team=team, by=by, shots=shots, seed=seed, is_lexical=lexical)
    basis = await eval_inputs.basis(sources)
    judged, decisions = judge(basis, rows, file)
    figures = {**routing_figures(judged), **_about(decisions), "agents": len(basis.cards), "cards": basis.source}
    if threshold_from is not None:
        tuning, _ = judge(basis, read_rows(threshold_from), threshold_from)
        figures["tuned"] = tuned_figures(judged, tuned_threshold(tuning))
    if svg is not None:
        _write(svg, eval_svg.routing(figures, judged, file))
    if json:
        say_json(figures | {"confused": [asdict(one) for one in confusions(judged)[: eval_text.PAIRS]]})
    else:
        eval_text.say_routing(figures, judged, file)
    return exits.DONE


async def handoff(
    file: _DIALOGUES,
    cards: _CARD_FILE,
    shots: _DRAW_EXAMPLES = _SHOTS,
    seed: _SEED = 1,
    budget: _BUDGET = deciding.BUDGET,
    lexical: _LEXICAL = False,
    json: JSON = False,
    svg: _SVG = None,
) -> int:
    """Measure which messages of dialogues would be handed off, and to whom.

    Each turn says who should own the conversation after it; who owned it before is the turn before's.
    """
    turns = read_dialogues(file)
    found = read_cards(cards)
    check_agents(turns, (card.name for card in found), file)
    drawn = splits.draw_examples((card for card in found if card.entry), shots, seed)
    asked = [turn for turn in turns if turn.gold in {"start", "stay", "switch", "mixed"}]
    classifier = deciding.classifier_for(is_lexical=lexical)
    with progress("classifying", len(asked)) as advance:
        decisions = deciding.decide_all(classifier, [turn.user for turn in asked], drawn, advance)
    moved = recognised(classifier, asked, decisions, budget=budget)
    figures = {
        **handoff_figures(moved),
        "start": started(asked, decisions),
        **_about(decisions),
        "agents": len(drawn),
        "shots": shots,
        "seed": seed,
        "budget": budget,
    }
    if svg is not None:
        _write(svg, eval_svg.handoff(figures, moved, file))
    if json:
        say_json(figures)
    else:
        eval_text.say_handoff(figures, moved, file)
    return exits.DONE


def judge(basis: Basis, rows: list[LabelledRow], path: str) -> tuple[list[Judged], list[RouteDecision]]:
    """Return decisions beside the truth.

    Args:
        basis: What decisions are made over.
        rows: As read from `path`.
        path: For what is told of bad rows.

    Raises:
        ConfigError: Rows belong to none of the agents.
    """
    owners = basis.owners.all(rows, path)
    with progress("classifying", len(rows)) as advance:
        decisions = deciding.decide_all(basis.classifier, [row.text for row in rows], basis.cards, advance)
    judged = [
        Judged.of(decision, owner, row.text) for row, owner, decision in zip(rows, owners, decisions, strict=True)
    ]
    return judged, decisions


def recognised(
    classifier: Classifier, turns: list[DialogueTurn], decisions: list[RouteDecision], *, budget: float
) -> list[Moved]:
    """Return what the recogniser does with each turn at which an agent was active."""
    return [
        Moved(turn, deciding.handed_off(classifier, decision, turn, budget=budget))
        for turn, decision in zip(turns, decisions, strict=True)
        if turn.active is not None
    ]


def started(turns: list[DialogueTurn], decisions: list[RouteDecision]) -> dict[str, Any]:
    """Return how often the first agent of a dialogue was the likeliest for the message that asked for it."""
    right = [
        decision.best in {turn.agent, *turn.also}
        for turn, decision in zip(turns, decisions, strict=True)
        if turn.gold == "start"
    ]
    found: dict[str, Any] = rounded_all({"n": len(right), "accuracy": share(sum(right), len(right))})
    return found


def _about(decisions: list[RouteDecision]) -> dict[str, Any]:
    """Return who decided, and from which confidence on it answered."""
    methods = sorted({decision.method for decision in decisions})
    thresholds = sorted({decision.threshold for decision in decisions})
    return {"method": ", ".join(methods), "threshold": thresholds[-1] if thresholds else None}


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{str(path)!r} cannot be written: {error.strerror}") from error
    tell(f"written to {path}")
