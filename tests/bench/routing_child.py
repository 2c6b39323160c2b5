"""`python -m tests.bench.routing_child CARDS METHOD ROUNDS`: measures one variant of routing, and does nothing else.

In: the name of a set of cards, `minilm` or `lexical`. Out: one JSON object of figures.
"""

import asyncio
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter, process_time

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy is loaded

from baton.card import Card
from baton.hop.judge import Judge
from baton.protocol.guards import Graph
from baton.routing.minilm import MiniLM
from baton.routing.offline import OfflineClassifier

ROOT = Path(__file__).resolve().parents[2]
EVALS = (ROOT / ".." / "shared" / "evals").resolve()
DESK, BANKING = "desk", "Banking77 77 × 10"
SINGLE, BATCHES, BATCH, ASKERS = 200, 10, 32, 16
SAID = "I have frozen your card. Is there anything else I can do for you, request number {}?"


def card_sets() -> list[str]:
    return [DESK, BANKING] if (EVALS / "banking77_pool.jsonl").exists() else [DESK]


def cards_of(name: str) -> list[Card]:
    if name == DESK:
        from services.team import desk

        return desk.cards()
    by_intent: dict[str, list[str]] = {}
    for row in _rows("banking77_pool.jsonl"):
        by_intent.setdefault(row["intent"], []).append(row["text"])
    return [
        Card(name=intent.lower(), description=intent.replace("_", " "), examples=tuple(texts[:10]))
        for intent, texts in sorted(by_intent.items())
    ]


def requests(cards: Sequence[Card]) -> list[str]:
    """Return requests as people write them; without the data, what the cards' examples make."""
    if (EVALS / "banking77_dev.jsonl").exists():
        return [row["text"] for row in _rows("banking77_dev.jsonl")]
    return [f"please: {text}" for card in cards for skill in card.skills for text in skill.examples]


def fresh(texts: Sequence[str]) -> Iterator[str]:
    """Give texts without end, none of them twice: from the second time on, each with one more word."""
    yield from dict.fromkeys(texts)
    number = 0
    while True:
        number += 1
        for text in dict.fromkeys(texts):
            yield f"{text} {number}"


def seconds(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


def rounds_of(classifier: OfflineClassifier, cards: list[Card], texts: Iterator[str], count: int) -> dict[str, float]:
    """Return the best of some rounds, figure by figure; the percentiles are those within a round."""
    said = (SAID.format(number) for number in itertools.count())
    rounds = [one_round(classifier, cards, texts, said) for _ in range(count)]
    best = {key: min(one[key] for one in rounds) for key in rounds[0]}
    return best | {"batched_per_s": 1 / best.pop("batch_s"), "asked_per_s": 1 / best.pop("asked_s")}


def one_round(
    classifier: OfflineClassifier, cards: list[Card], texts: Iterator[str], said: Iterator[str]
) -> dict[str, float]:
    def recognised() -> None:
        text = next(texts)
        classifier.classify(text, cards)
        classifier.likeness(text, next(said))

    cpu = process_time()
    single = [1e3 * seconds(lambda: classifier.classify(next(texts), cards)) for _ in range(SINGLE)]
    cpu = process_time() - cpu
    both = [1e3 * seconds(recognised) for _ in range(SINGLE)]
    batches = [[next(texts) for _ in range(BATCH)] for _ in range(BATCHES)]
    batched = seconds(lambda: [classifier.classify_many(batch, cards) for batch in batches])
    return {
        "one_cpu_ms": 1e3 * cpu / SINGLE,
        "one_p50_ms": percentile(single, 0.5),
        "one_p99_ms": percentile(single, 0.99),
        "recognition_p50_ms": percentile(both, 0.5),
        "recognition_p99_ms": percentile(both, 0.99),
        "batch_s": batched / (BATCH * BATCHES),
        "asked_s": asyncio.run(asked(classifier, cards, texts)),
    }


async def asked(classifier: OfflineClassifier, cards: list[Card], texts: Iterator[str]) -> float:
    """Return the seconds a decision takes when `ASKERS` ask a judge at once."""
    judge, graph = Judge(lambda: classifier, false_share=0.02), Graph({card.name: card for card in cards})
    await judge.learn(graph)
    each = BATCHES * BATCH // ASKERS

    async def ask() -> None:
        for _ in range(each):
            await judge.decide(next(texts), graph)

    start = perf_counter()
    await asyncio.gather(*(ask() for _ in range(ASKERS)))
    return (perf_counter() - start) / (each * ASKERS)


def percentile(values: Sequence[float], share: float) -> float:
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


def rss_mib() -> float:
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="ascii").splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), float("nan"))


def main() -> None:
    name, method, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    figures: dict[str, float] = {}
    encoder = None
    if method == "minilm":
        start = perf_counter()
        encoder = MiniLM()
        figures["load_s"] = perf_counter() - start
    cards = cards_of(name)
    classifier = OfflineClassifier(encoder)
    figures["cold_s"] = seconds(lambda: classifier.prepare(cards))
    retraining = []
    for turn in range(count):
        cards = [cards[0].model_copy(update={"description": f"changed {turn}"}), *cards[1:]]
        retraining.append(seconds(partial(classifier.prepare, cards)))
    figures["retrain_s"] = min(retraining)
    figures |= rounds_of(classifier, cards, fresh(requests(cards)), count)
    figures["rss_mib"] = rss_mib()
    print(json.dumps({key: round(value, 4) for key, value in figures.items()}))


def _rows(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (EVALS / name).read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()
