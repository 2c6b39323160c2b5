"""What an evaluation is made over: cards of a file, of labelled rows, of a team or of the registry.

In: the options of `baton eval`. Out: cards, whose each row is, and the classifier.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from baton.card import Card
from baton.cli import deciding, routing
from baton.cli.printing import counted, tell
from baton.errors import ConfigError
from baton.evaluation import splits
from baton.evaluation.card_files import read_cards
from baton.evaluation.owners import Owners
from baton.evaluation.rows import Departments, LabelledRow, read_departments, read_rows
from baton.protocol.route import routable
from baton.routing.decision import Classifier

BY = ("agent", "intent")


@dataclass(frozen=True, slots=True)
class Sources:
    """Where cards, labels and owners come from; None where an option was not given."""

    cards: str | None = None
    labels: str | None = None
    train: str | None = None
    agents: str | None = None
    team: str | None = None
    by: str | None = None
    """`agent` or `intent`; None: agents where rows name any."""
    shots: int | None = None
    seed: int = 1
    is_lexical: bool = False

    def check(self) -> None:
        """Make sure that the options go together.

        Raises:
            ConfigError: They do not.
        """
        given = [name for name in ("cards", "labels", "team") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ConfigError(f"--{' and --'.join(given)} were given; allowed is one of --cards, --labels and --team")
        if self.by is not None and self.by not in BY:
            raise ConfigError(f"--by is {self.by!r}; allowed is {' or '.join(BY)}")
        if self.shots is not None and self.cards is None and self.labels is None:
            raise ConfigError("--shots draws from --labels or --cards; one of them is missing")


@dataclass(frozen=True, slots=True)
class Basis:
    """What decisions are made over."""

    cards: Sequence[Card]
    """Those that the classifier chooses from."""
    owners: Owners
    classifier: Classifier
    source: str
    """Where the cards come from, for the reader."""


async def basis(sources: Sources) -> Basis:
    """Return what is asked for.

    Raises:
        ConfigError: Options do not go together, or files cannot be used.
    """
    sources.check()
    departments = read_departments(sources.agents) if sources.agents else Departments()
    if sources.labels is not None:
        return _of_labels(sources, departments)
    if sources.cards is not None:
        cards, source = [card for card in read_cards(sources.cards) if card.entry], f"{sources.cards!r}"
        if sources.shots is not None:
            cards = splits.draw_examples(cards, sources.shots, sources.seed)
        classifier = None
    else:
        found = await routing.cards_of(sources.team)
        cards, source = routable(found.graph.cards), found.source
        classifier = None if sources.is_lexical else found.classifier
    owners = Owners.of_cards(cards, departments, by_agent=sources.by != "intent")
    if sources.train is None:
        return Basis(cards, owners, classifier or _classifier(sources, ()), source)
    more = read_rows(sources.train)
    own = [row for row in more if not row.is_oos]
    pairs = [(row, owner) for row, owner in zip(own, owners.all(own, sources.train), strict=True) if owner]
    cards = splits.cards_of(pairs, cards=cards)
    return Basis(cards, owners, classifier or _classifier(sources, more), f"{source} and {sources.train!r}")


def _of_labels(sources: Sources, departments: Departments) -> Basis:
    """Return agents that are made of labelled rows."""
    path = sources.labels or ""
    pool = read_rows(path)
    taken = pool if sources.shots is None else _drawn(pool, sources.shots, sources.seed)
    more = read_rows(sources.train) if sources.train else []
    own = [row for row in [*taken, *more] if not row.is_oos]
    if not own:
        raise ConfigError(f"{path!r} has only rows out of scope; rows of at least one agent are needed")
    by_agent = sources.by != "intent" if sources.by else any(row.agent for row in own)
    owners = Owners.of_rows(own, departments, by_agent=by_agent)
    pairs = [(row, owner) for row, owner in zip(own, owners.all(own, path), strict=True) if owner]
    described = {owners.names[agent]: text for agent, text in departments.descriptions.items() if agent in owners.names}
    cards = splits.cards_of(pairs, descriptions=described)
    shown = f"{path!r}" + (f", {counted(sources.shots, 'row')} an intent, seed {sources.seed}" if sources.shots else "")
    return Basis(cards, owners, _classifier(sources, [*taken, *more]), shown)


def _drawn(pool: Sequence[LabelledRow], shots: int, seed: int) -> Sequence[LabelledRow]:
    drawn = splits.draw(pool, shots, seed)
    if drawn.scarce:
        named = ", ".join(drawn.scarce[:5]) + (", …" if len(drawn.scarce) > 5 else "")
        tell(f"fewer than {counted(shots, 'row')}, so all there are: {counted(len(drawn.scarce), 'intent')} ({named})")
    return drawn.rows


def _classifier(sources: Sources, rows: Sequence[LabelledRow]) -> Classifier:
    foreign = [row.text for row in rows if row.is_oos]
    return deciding.classifier_for(is_lexical=sources.is_lexical, foreign=foreign)
