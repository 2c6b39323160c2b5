"""The registered agents, who serves them, and the team that the journal belongs to.

In: cards at the start of each service, beats while it serves. Out: the graph.
"""

from collections.abc import Collection, Sequence

from baton.card import Card
from baton.errors import ConfigError
from baton.journal.contract import FORGET_S, LIVE_S
from baton.journal.sqlite.writer import Transaction
from baton.protocol import forgetting
from baton.protocol.guards import HUMAN, ROUTER, Graph
from baton.routing.stored_threshold import StoredThreshold, decoded


def register(tx: Transaction, card: Card, fallback: str | None) -> None:
    """Write a card, new or changed."""
    tx.run(
        "INSERT INTO agents VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET card = excluded.card, "
        "registered_at = excluded.registered_at WHERE card != excluded.card",
        card.name,
        card.model_dump_json().encode(),
        tx.now,
    )
    if fallback is not None:
        _put(tx, "fallback", fallback)


def enrol(tx: Transaction, cards: Sequence[Card], fallback: str | None) -> list[str]:
    """Make these the registered agents, and no others; return the names that still have open hops."""
    for row in tx.all("SELECT name FROM agents"):
        if row["name"] not in {card.name for card in cards}:
            tx.run("DELETE FROM agents WHERE name = ?", row["name"])
    tx.run("DELETE FROM meta WHERE key = 'fallback'")
    for card in cards:
        register(tx, card, fallback)
    known = {card.name for card in cards} | {ROUTER, HUMAN}
    open_names = tx.all(
        "SELECT agent FROM hops WHERE status IN ('pending', 'running') "
        "UNION SELECT agent FROM hops WHERE status IN ('blocked', 'waiting')"
    )
    return sorted(row["agent"] for row in open_names if row["agent"] not in known)


def graph(tx: Transaction) -> Graph:
    """Return the union of the registered cards, the fallback and the stored threshold, and who is live."""
    cards = [Card.model_validate_json(row["card"]) for row in tx.all("SELECT card FROM agents ORDER BY name")]
    by_name = {card.name: card for card in cards}
    beating = {row["agent"] for row in tx.all("SELECT agent FROM replicas WHERE seen_at > ?", tx.now - LIVE_S)}
    team = {row["key"]: row["value"] for row in tx.all("SELECT * FROM meta WHERE key IN ('fallback', 'threshold')")}
    live = frozenset(beating & by_name.keys()) if beating else None
    return Graph(by_name, team.get("fallback"), live, decoded(team.get("threshold")))


def forget(tx: Transaction, agent: str) -> None:
    """Take a card off the registry.

    Raises:
        RequestError: No such agent is registered, it is live, or it is the fallback.
    """
    forgetting.check(agent, graph(tx))
    tx.run("DELETE FROM agents WHERE name = ?", agent)


def calibrate(tx: Transaction, threshold: StoredThreshold | None) -> None:
    """Keep a threshold, or forget the one that was kept."""
    if threshold is None:
        tx.run("DELETE FROM meta WHERE key = 'threshold'")
    else:
        _put(tx, "threshold", threshold.encoded())


def beat(tx: Transaction, owner: str, agents: Collection[str]) -> None:
    """Note that a process serves these agents now, and forget replicas that have long been silent."""
    for agent in agents:
        tx.run("INSERT OR REPLACE INTO replicas VALUES (?, ?, ?)", owner, agent, tx.now)
    tx.run("DELETE FROM replicas WHERE seen_at < ?", tx.now - FORGET_S)


def leave(tx: Transaction, owner: str, agents: Collection[str]) -> None:
    """Forget that a process serves these agents."""
    for agent in agents:
        tx.run("DELETE FROM replicas WHERE owner = ? AND agent = ?", owner, agent)


def join(tx: Transaction, team: str) -> None:
    """Bind the journal to a team, once.

    Raises:
        ConfigError: It belongs to another team.
    """
    bound = _get(tx, "team")
    if bound is not None and bound != team:
        raise ConfigError(
            f"this journal belongs to team {bound!r}, this process to team {team!r}; one team per journal: "
            "give it its own BATON_JOURNAL_URL"
        )
    _put(tx, "team", team)


def _get(tx: Transaction, key: str) -> str | None:
    row = tx.one("SELECT value FROM meta WHERE key = ?", key)
    return None if row is None else str(row[0])


def _put(tx: Transaction, key: str, value: str) -> None:
    tx.run("INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, value)
