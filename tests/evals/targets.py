"""The targets of routing and recognition: floors, aims, what others reach, and the command that measures each.

Baselines are figures on the test splits, quoted from research/routing.md (sections 1, 3, 4 and 6), but for those on the
dev side: `python -m tests.evals.plain` gives what plain heads do, and `python -m tests.evals.gate` how gates that are
fitted on the dialogues of one corpus do on the other's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Arguments = list[str]


@dataclass(frozen=True)
class Figure:
    """One number of a target, in percent but for `false`."""

    name: str
    key: str
    """In the JSON of `baton eval`, dots between levels."""
    floor: float | None
    aim: float | None
    is_least_best: bool = False
    scale: float = 100.0


@dataclass(frozen=True)
class Target:
    """One row of the table."""

    name: str
    task: str
    figures: tuple[Figure, ...]
    commands: Callable[[Path, int], list[Arguments]]
    """Of a folder of data and a seed; figures of more than one command are averaged."""
    is_drawn: bool
    baselines: tuple[tuple[str, str], ...]


FALSE = Figure("false", "false", 2.5, 2.5, is_least_best=True, scale=1.0)


def accuracy(floor: float, aim: float) -> Figure:
    return Figure("accuracy", "accuracy", floor, aim)


def few_shot(rows: str, pool: str, shots: int) -> Callable[[Path, int], list[Arguments]]:
    def commands(data: Path, seed: int) -> list[Arguments]:
        labels = ["--labels", str(data / pool), "--by", "intent", "--shots", str(shots), "--seed", str(seed)]
        return [["routing", str(data / rows), *labels]]

    return commands


def departments(data: Path, seed: int) -> list[Arguments]:
    labels = ["--labels", str(data / "clinc150_train.jsonl"), "--shots", "5", "--seed", str(seed)]
    return [["routing", str(data / "clinc150_val.jsonl"), *labels]]


def trained(data: Path, _seed: int) -> list[Arguments]:
    """Tune on one half of the validation rows and measure on the other, both ways: no test split is at hand."""
    labels = ["--labels", str(data / "clinc150_train.jsonl"), "--by", "intent"]
    halves = [str(data / f"clinc150_val_{half}.jsonl") for half in ("even", "odd")]
    return [["routing", a, *labels, "--threshold-from", b] for a, b in (halves, halves[::-1])]


def desk(data: Path, _seed: int) -> list[Arguments]:
    whose = ["--team", "services.team:desk", "--agents", str(data / "banking77_departments.json")]
    return [["routing", str(data / "banking77_dev.jsonl"), *whose]]


def handoff(corpus: str) -> Callable[[Path, int], list[Arguments]]:
    def commands(data: Path, seed: int) -> list[Arguments]:
        cards = ["--cards", str(data / f"handoff_{corpus}_cards.jsonl"), "--shots", "10", "--seed", str(seed)]
        return [["handoff", str(data / f"handoff_{corpus}_dev.jsonl"), *cards]]

    return commands


def f1(floor: float, aim: float) -> Figure:
    return Figure("F1", "f1", floor, aim)


def split(data: Path, folder: Path) -> None:
    """Write every other validation row of CLINC150 to one file, and the rest to another."""
    rows = (data / "clinc150_val.jsonl").read_text(encoding="utf-8").splitlines()
    for start, half in enumerate(("even", "odd")):
        (folder / f"clinc150_val_{half}.jsonl").write_text("\n".join(rows[start::2]) + "\n", encoding="utf-8")


TARGETS = (
    Target(
        "banking77-5",
        "Banking77, 5 an intent",
        (accuracy(82, 83),),
        few_shot("banking77_dev.jsonl", "banking77_pool.jsonl", 5),
        is_drawn=True,
        baselines=(
            ("lex", "62.7"),
            ("semantic-router's rule", "72.9"),
            ("MiniLM lr", "80.6"),
            ("CPFT", "80.9"),
            ("ICDA (a large LM)", "84.0"),
        ),
    ),
    Target(
        "banking77-10",
        "Banking77, 10 an intent",
        (accuracy(85.5, 88),),
        few_shot("banking77_dev.jsonl", "banking77_pool.jsonl", 10),
        is_drawn=True,
        baselines=(
            ("lex", "74.9"),
            ("semantic-router's rule", "79.4"),
            ("MiniLM lr", "86.3"),
            ("CPFT", "87.2"),
            ("ICDA (a large LM)", "89.8"),
        ),
    ),
    Target(
        "clinc150-5",
        "CLINC150, 5 an intent",
        (accuracy(88, 91),),
        few_shot("clinc150_val.jsonl", "clinc150_train.jsonl", 5),
        is_drawn=True,
        baselines=(
            ("lex", "73.1"),
            ("semantic-router's rule", "74.7"),
            ("MiniLM lr", "87.0"),
            ("CPFT", "92.3"),
            ("ICDA (a large LM)", "92.6"),
        ),
    ),
    Target(
        "clinc150-10",
        "CLINC150, 10 an intent",
        (accuracy(90.5, 94),),
        few_shot("clinc150_val.jsonl", "clinc150_train.jsonl", 10),
        is_drawn=True,
        baselines=(
            ("lex", "81.4"),
            ("semantic-router's rule", "78.0"),
            ("MiniLM lr", "90.0"),
            ("CPFT", "94.2"),
            ("ICDA (a large LM)", "94.8"),
        ),
    ),
    Target(
        "clinc150-40",
        "CLINC150, 40 an intent + 100 oos, tuned",
        (
            Figure("in scope", "tuned.accuracy", None, 95),
            Figure("oos recall", "tuned.oos_recall", None, 65),
        ),
        trained,
        is_drawn=False,
        baselines=(
            ("words alone, plain head, dev side", "87.4 / 59.0"),
            ("MiniLM alone, plain head, dev side", "93.8 / 54.0"),
            ("lex, trained on 100 an intent", "92.4 / 42.0"),
            ("semantic-router's rule, on 100", "85.0 / 53.5"),
            ("MiniLM lr, on 100", "94.9 / 57.1"),
            ("BERT, tuned, on 100", "96.2 / 52.3"),
        ),
    ),
    Target(
        "departments",
        "ten departments, 5 a skill",
        (accuracy(96, 97), Figure("oos recall at 5 % rejected", "oos_recall_rej5", 79, 85)),
        departments,
        is_drawn=True,
        baselines=(("lex", "90.4 / 43"), ("MiniLM hybrid", "96.3 / 79")),
    ),
    Target(
        "desk",
        "the shipped desk on Banking77",
        (Figure("right of answered", "right_of_answered", 93, 96), Figure("coverage", "coverage", 85, 85)),
        desk,
        is_drawn=False,
        baselines=(),
    ),
    Target(
        "handoff-multiwoz",
        "handoff, MultiWOZ, 10 an agent",
        (f1(88, 91), FALSE),
        handoff("multiwoz"),
        is_drawn=True,
        baselines=(
            ("keyword of another agent", "77.0 / 4.2"),
            ("MiniLM lr, router on every turn", "38.2 / 51.1"),
            ("MiniLM lr, threshold + margin", "85.9 / 1.6"),
            ("MiniLM gate, not trained on it", "87.9 / 2.2"),
            ("this gate fitted on SGD alone, dev side", "89.1 / 2.2"),
        ),
    ),
    Target(
        "handoff-sgd",
        "handoff, SGD, 10 an agent",
        (f1(86.5, 91), FALSE),
        handoff("sgd"),
        is_drawn=True,
        baselines=(
            ("keyword of another agent", "52.8 / 2.6"),
            ("MiniLM lr, router on every turn", "36.1 / 67.8"),
            ("MiniLM lr, threshold + margin", "82.1 / 1.5"),
            ("MiniLM gate, not trained on it", "86.6 / 1.7"),
            ("this gate fitted on MultiWOZ alone, dev side", "93.1 / 0.7"),
        ),
    ),
)
