"""What `baton doctor` looks at: Python, packages, settings, journal, broker.

In: the environment. Out: one `Check` after another, none of which changes anything.
"""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Literal, get_args

from baton.card import Card
from baton.cli.opening import checked, shown
from baton.cli.printing import counted, listed, sized
from baton.config import Settings, masked
from baton.errors import BatonError, BrokerUnavailableError, ConfigError
from baton.journal.contract import Journal
from baton.journal.sqlite.journal import SqliteJournal
from baton.journal.views import RunFilter
from baton.protocol.guards import Graph
from baton.protocol.route import routable
from baton.request import ENDED, RunStatus
from baton.routing.card_set import card_set_hash
from baton.urls import open_broker, open_journal

_DISTRIBUTION = "baton-handoff"
_PACKAGES = ("pydantic", "numpy", "typer", "rich", "aio-pika", "asyncpg", "alembic", "aiohttp", "psycopg")
_COUNTED_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "note", "bad"]
    """`note`: nothing is wrong, but somebody may be surprised."""
    found: str


async def examine(environ: Mapping[str, str]) -> list[Check]:
    """Return what was found, in the order of looking."""
    found = [_python(), _packages()]
    try:
        settings = checked(environ)
    except ConfigError as error:
        return [*found, *(Check("settings", "bad", problem) for problem in error.problems)]
    found += [Check("settings", "ok", "every BATON_ variable is known and in range")]
    found += [_classifier(settings), await _broker(settings)]
    return found + await _journal(settings)


def _python() -> Check:
    return Check("python", "ok", f"{platform.python_version()} on {platform.system()}")


def _packages() -> Check:
    versions = {name: _version(name) for name in (_DISTRIBUTION, *_PACKAGES)}
    missing = [name for name in _PACKAGES if versions[name] is None]
    told = listed(f"{name} {version or 'not installed'}" for name, version in versions.items())
    return Check("packages", "bad" if missing else "ok", told)


def _classifier(settings: Settings) -> Check:
    """Look whether requests are read by their meaning, or by their words alone."""
    if settings.encoder == "none":
        return Check("classifier", "ok", "goes by the words of requests alone: BATON_ENCODER is none")
    from baton.routing.minilm import EncoderMissingError, MiniLM

    try:
        return Check("classifier", "ok", f"reads what requests mean: {MiniLM().name}")
    except EncoderMissingError as error:
        return Check("classifier", "note", f"goes by the words of requests alone: {error}")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


async def _broker(settings: Settings) -> Check:
    if settings.is_embedded:
        return Check("broker", "ok", f"{settings.broker_url}: one process serves router and agents")
    broker = open_broker(settings)
    try:
        await broker.start()
    except (BrokerUnavailableError, ConfigError) as error:
        return Check("broker", "bad", str(error))
    finally:
        await broker.close()
    return Check("broker", "ok", f"{masked(settings.broker_url)}; `baton topology check` looks at its queues")


async def _journal(settings: Settings) -> list[Check]:
    journal = open_journal(settings.journal_url)
    found: list[Check] = []
    if isinstance(journal, SqliteJournal):
        if not journal.path.exists():
            return [Check("journal", "note", f"there is no {shown(journal)} yet; the first start makes it")]
        pid = journal.holder()
        found.append(Check("served", "ok" if pid else "note", f"by process {pid}" if pid else "by nobody now"))
    try:
        await journal.start(serves=False)
    except BatonError as error:
        return [Check("journal", "bad", str(error)), *found]
    try:
        what = await _file(journal) if isinstance(journal, SqliteJournal) else _server(settings)
        graph = await journal.registry()
        return [what, *found, _agents(graph), *_threshold(graph, settings), await _open_runs(journal)]
    finally:
        await journal.close()


async def _file(journal: SqliteJournal) -> Check:
    verdict = await journal.check()
    told = f"{journal.path.resolve()}, {sized(journal.path.stat().st_size)}, integrity_check: {verdict}"
    return Check("journal", "ok" if verdict == "ok" else "bad", told)


def _server(settings: Settings) -> Check:
    return Check("journal", "ok", f"{masked(settings.journal_url)}, its tables at the version of this Baton")


def _agents(graph: Graph) -> Check:
    cards = sorted(graph.cards)
    told = f"{counted(len(cards), 'agent')} registered: {listed(cards)}; fallback: {graph.fallback or 'none'}"
    absent = [name for name in cards if not graph.is_live(name)]
    if absent:
        told += f"; no live replica: {listed(absent)}"
    return Check("agents", "ok" if cards and not absent else "note", told)


def _threshold(graph: Graph, settings: Settings) -> list[Check]:
    """Look whether the stored threshold, if there is one, is of the cards and the model of today."""
    stored = graph.threshold
    if stored is None:
        return []
    found = f"{stored.value:g} from labelled traffic, found with {stored.model}"
    cards = routable(graph.cards)
    are_same = stored.cards == card_set_hash(cards)
    if are_same and _may_decide(stored.model, cards, settings):
        return [Check("threshold", "ok", found)]
    what = "the model is another" if are_same else "the cards are others"
    unused = f"not used, since {what} now; `baton eval calibrate --apply` finds it anew"
    return [Check("threshold", "note", f"{found}; {unused}")]


def _may_decide(model: str, cards: Sequence[Card], settings: Settings) -> bool:
    """Return False for a model of Baton's own that is not in use here; of a team's own classifier nothing is known."""
    from baton.routing.minilm import MiniLM, encoder
    from baton.routing.offline import LEXICAL, fitting, model_name
    from baton.routing.training_set import collect

    if model.partition("/")[0].partition("-")[0] not in (LEXICAL, MiniLM.name.partition("-")[0]):
        return True
    found = fitting(None if settings.encoder == "none" else encoder(), collect(cards))
    return model == model_name(found, card_set_hash(cards))


async def _open_runs(journal: Journal) -> Check:
    told = []
    for status in get_args(RunStatus):
        if status not in ENDED:
            found = await journal.runs(RunFilter(status=status, limit=_COUNTED_MAX))
            more = " or more" if len(found) == _COUNTED_MAX else ""
            told.append(f"{len(found):,}{more} {status}")
    return Check("open runs", "ok", ", ".join(told))
