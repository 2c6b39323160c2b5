"""`python -m tests.evals.gate`: fit the recogniser's gate on development dialogues, and see how it moves.

In: the dialogues in ../shared/evals. Out: what a gate gives on the corpus that it was not fitted on; with
--write, the gates of both corpora in shared/baton/routing/gate.json.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from baton.cli.deciding import decide_all
from baton.evaluation import splits
from baton.evaluation.card_files import read_cards
from baton.evaluation.dialogues import DialogueTurn, read_dialogues
from baton.evaluation.handoffs import Moved, handoff_figures
from baton.hop.judge import heard_by
from baton.router import default_classifier
from baton.routing import minilm, recognise
from baton.routing.decision import RouteDecision
from baton.routing.recognise import Gate, Heard, features
from tests.evals.measuring import DATA

CORPORA = ("multiwoz", "sgd")
SHARES = (0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.4)
SHOTS = 10
DECAY = 3.0
STORED = Path(recognise.__file__).with_name("gate.json")
Judged = list[tuple[DialogueTurn, RouteDecision, Heard]]


def judged(corpus: str, seed: int, *, is_lexical: bool) -> Judged:
    """Classify the scored turns of a corpus over one draw of its cards."""
    cards = splits.draw_examples(list(read_cards(str(DATA / f"handoff_{corpus}_cards.jsonl"))), SHOTS, seed)
    path = str(DATA / f"handoff_{corpus}_dev.jsonl")
    turns = [turn for turn in read_dialogues(path) if turn.active and turn.gold in ("stay", "switch")]
    classifier = default_classifier(is_lexical=is_lexical)
    decisions = decide_all(classifier, [turn.user for turn in turns], cards)
    return [
        (turn, decision, heard_by(classifier, turn.user, active=turn.active or "", said=turn.said))
        for turn, decision in zip(turns, decisions, strict=True)
    ]


def rows(seen: Judged) -> tuple[np.ndarray, np.ndarray]:
    """Return features, shape (turns, features), and whether each turn is a switch."""
    values = []
    for _, decision, heard in seen:
        others = [name for name in decision.scores if name != heard.active]
        values.append(features(decision, heard, max(others, key=lambda name: decision.scores[name])))
    return np.array(values), np.array([turn.gold == "switch" for turn, _, _ in seen], dtype=float)


def fitted(corpora: list[list[Judged]]) -> Gate:
    """Fit a logistic function by Newton's method; cut it where no draw has a greater share of stays above."""
    parts = [[rows(seen) for seen in draws] for draws in corpora]
    values = np.concatenate([v for one in parts for v, _ in one])
    wanted = np.concatenate([w for one in parts for _, w in one])
    mean, scale = values.mean(axis=0), values.std(axis=0)
    scaled = np.column_stack([(values - mean) / scale, np.ones(len(values))])
    weights, decay = np.zeros(scaled.shape[1]), np.diag([DECAY] * len(mean) + [0.0])
    for _ in range(30):
        chances = 1 / (1 + np.exp(-scaled @ weights))
        slope = scaled.T @ (chances - wanted) + decay @ weights
        weights -= np.linalg.solve((scaled * (chances * (1 - chances))[:, None]).T @ scaled + decay, slope)
    plain = weights[:-1] / scale
    bias = float(weights[-1] - plain @ mean)
    stays = [(values @ plain + bias)[wanted == 0] for one in parts for values, wanted in one]
    return Gate(
        tuple(plain.round(5).tolist()),
        round(bias, 5),
        tuple((share, round(max(float(np.quantile(scores, 1 - share)) for scores in stays), 4)) for share in SHARES),
    )


def tried(gate: Gate, seen: Judged, budget: float) -> dict[str, float]:
    """Return how well a gate does."""
    moved = []
    for turn, decision, heard in seen:
        shift = recognise.recognise(decision, heard, false_share=budget, gate=gate)
        moved.append(Moved(turn, shift.targets[0][0] if shift and shift.confident else None))
    return handoff_figures(moved)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.evals.gate", description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    minilm.KEPT_VECTORS = 20_000  # each text once, however many draws there are
    stored = {}
    for is_lexical in (True, False):
        method = default_classifier(is_lexical=is_lexical).method
        seen = {c: [judged(c, s, is_lexical=is_lexical) for s in range(1, given.seeds + 1)] for c in CORPORA}
        for source in (*CORPORA, None):
            gate = fitted([seen[corpus] for corpus in CORPORA if source in (corpus, None)])
            for corpus in CORPORA:
                for budget in (0.01, 0.015, 0.02):
                    each = [tried(gate, one, budget) for one in seen[corpus]]
                    told = "  ".join(
                        f"{k} {np.mean([e[k] for e in each]):.3f}" for k in ("recall", "precision", "f1", "false")
                    )
                    print(
                        f"{method:8s} fitted on {source or 'both':8s} on {corpus:8s} budget {budget:.1%}: {told}",
                        flush=True,
                    )
        stored[method] = {"weights": gate.weights, "bias": gate.bias, "cuts": gate.cuts}
    if given.write:
        STORED.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
