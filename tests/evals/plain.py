"""`python -m tests.evals.plain`: what a plain head gives on CLINC150 with 40 examples an intent, threshold tuned.

In: the development data in ../shared/evals. Out: in-scope accuracy and out-of-scope recall of words alone and of MiniLM
alone, each with a softmax regression and the greatest probability as the confidence: the baselines of `make eval`.
"""

import argparse
from collections.abc import Callable, Sequence
from statistics import fmean

import numpy as np

from baton.evaluation.curves import tuned_threshold
from baton.evaluation.figures import tuned_figures
from baton.evaluation.judged import Judged
from baton.evaluation.rows import LabelledRow, read_rows
from baton.routing.features import normalise
from baton.routing.index import TextIndex
from baton.routing.minilm import DIMENSIONS, MiniLM
from baton.routing.softmax import Regression, softmax
from tests.evals.measuring import DATA

ITERATIONS = 65
Compare = Callable[[Sequence[str]], np.ndarray]


def by_words(texts: Sequence[str]) -> Compare:
    index = TextIndex(texts)
    return lambda queries: np.stack([index.similarities(query) for query in queries])


def by_meaning(texts: Sequence[str]) -> Compare:
    """Compare by the last layer, whose part of a vector comes first."""
    model = MiniLM()

    def encoded(some: Sequence[str]) -> np.ndarray:
        vectors = model.encode(some)[:, : DIMENSIONS // 2]
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    known = encoded(texts)
    return lambda queries: encoded(queries) @ known.T


def judged(make: Callable[[Sequence[str]], Compare]) -> list[Judged]:
    """Train on all rows in scope, and judge the validation rows."""
    train = [row for row in read_rows(str(DATA / "clinc150_train.jsonl")) if not row.is_oos]
    asked = read_rows(str(DATA / "clinc150_val.jsonl"))
    labels = sorted({row.label for row in train})
    classes = np.array([labels.index(row.label) for row in train])
    compare = make([normalise(row.text) for row in train])
    gram, weights = compare([normalise(row.text) for row in train]), np.ones(len(train), dtype=np.float32)
    head = Regression(gram, classes, weights=weights, iterations=ITERATIONS)
    chances = softmax(head.logits(compare([normalise(row.text) for row in asked])))
    return [_judged(row, labels, chance) for row, chance in zip(asked, chances, strict=True)]


def _judged(row: LabelledRow, labels: Sequence[str], chances: np.ndarray) -> Judged:
    best = int(chances.argmax())
    return Judged(None if row.is_oos else row.label, labels[best], float(chances[best]), is_answered=True)


def main() -> None:
    argparse.ArgumentParser(prog="python -m tests.evals.plain", description=__doc__.partition("\n")[0]).parse_args()
    for name, make in (("words alone", by_words), ("MiniLM alone", by_meaning)):
        found = judged(make)
        halves = found[::2], found[1::2]
        tuned = [tuned_figures(a, tuned_threshold(b)) for a, b in (halves, halves[::-1])]
        told = " / ".join(f"{100 * fmean(one[key] for one in tuned):.1f}" for key in ("accuracy", "oos_recall"))
        print(f"{name}: in scope / oos recall {told}", flush=True)


if __name__ == "__main__":
    main()
