"""The registered agents, who serves them, and the team that the journal belongs to.

In: cards at the start of each service, beats while it serves. Out: the graph.
"""

from collections.abc import Collection, Sequence

from baton.card import Card
from baton.errors import ConfigError
from baton.journal.contract import FORGET_S, LIVE_S
from baton.journal.postgres.transaction import Transaction
from baton.protocol import forgetting
from baton.protocol.guards import HUMAN, ROUTER, Graph
from baton.routing.stored_threshold import StoredThreshold, decoded

Known = dict[str, tuple[float, Card]]
"""Cards by name, each with when it was registered."""


async def register(tx: Transaction, card: Card, fallback: str | None) -> None:
    """Write a card, new or changed."""
    await tx.run(
        "INSERT INTO agents VALUES ($1, $2, clock()) ON CONFLICT (name) DO UPDATE SET card = excluded.card, "
        "registered_at = excluded.registered_at WHERE agents.card <> excluded.card",
        card.name,
        card.model_dump_json().encode(),
    )
    if fallback is not None:
        await _put(tx, "fallback", fallback)


async def enrol(tx: Transaction, cards: Sequence[Card], fallback: str | None) -> list[str]:
    """Make these the registered agents, and no others; return the names that still have open hops."""
    known = {card.name for card in cards}
    await tx.run("DELETE FROM agents WHERE name <> ALL ($1)", sorted(known))
    await tx.run("DELETE FROM meta WHERE key = 'fallback'")
    for card in sorted(cards, key=lambda card: card.name):
        await register(tx, card, fallback)
    open_names = await tx.all(
        "SELECT agent FROM hops WHERE status = 'pending' AND NOT awaits_poll "
        "UNION SELECT agent FROM hops WHERE status = 'running' OR (status = 'pending' AND awaits_poll) "
        "UNION SELECT agent FROM hops WHERE status IN ('blocked', 'waiting')"
    )
    return sorted({row["agent"] for row in open_names} - known - {ROUTER, HUMAN})


async def graph(tx: Transaction, known: Known) -> Graph:
    """Return the union of the registered cards, the fallback and the stored threshold, and who is live.

    Args:
        tx: One statement: it is asked every second, by every process.
        known: What was read before, and is brought up to date: the server sends other cards alone.
    """
    names = sorted(known)
    found = await tx.all(
        "WITH beating AS MATERIALIZED (SELECT DISTINCT agent FROM replicas WHERE seen_at > (SELECT clock()) - $1) "
        "SELECT a.name, a.registered_at, CASE WHEN k.at IS DISTINCT FROM a.registered_at THEN a.card END AS card, "
        "f.value AS fallback, t.value AS threshold, "
        "EXISTS (SELECT FROM beating) AS is_known, b.agent IS NOT NULL AS is_live "
        "FROM (SELECT 1) AS once LEFT JOIN meta f ON f.key = 'fallback' "
        "LEFT JOIN meta t ON t.key = 'threshold' LEFT JOIN agents a ON true "
        "LEFT JOIN unnest($2::text[], $3::float8[]) AS k (name, at) ON k.name = a.name "
        "LEFT JOIN beating b ON b.agent = a.name ORDER BY a.name",
        LIVE_S,
        names,
        [known[name][0] for name in names],
    )
    rows = [row for row in found if row["name"] is not None]
    for row in rows:
        if row["card"] is not None:
            known[row["name"]] = (row["registered_at"], Card.model_validate_json(row["card"]))
    cards = {row["name"]: known[row["name"]][1] for row in rows}
    live = frozenset(row["name"] for row in rows if row["is_live"])
    team = found[0]
    return Graph(cards, team["fallback"], live if team["is_known"] else None, decoded(team["threshold"]))


async def forget(tx: Transaction, agent: str) -> None:
    """Take a card off the registry.

    Raises:
        RequestError: No such agent is registered, it is live, or it is the fallback.
    """
    forgetting.check(agent, await graph(tx, {}))
    await tx.run("DELETE FROM agents WHERE name = $1", agent)


async def calibrate(tx: Transaction, threshold: StoredThreshold | None) -> None:
    """Keep a threshold, or forget the one that was kept."""
    if threshold is None:
        await tx.run("DELETE FROM meta WHERE key = 'threshold'")
    else:
        await _put(tx, "threshold", threshold.encoded())


async def beat(tx: Transaction, owner: str, agents: Collection[str]) -> None:
    """Note that a process serves these agents now, and forget replicas that have long been silent."""
    await tx.run(  # both at once, so never the same row: which of the two would take place is not defined
        "WITH silent AS (DELETE FROM replicas WHERE seen_at < (SELECT clock()) - $3 AND owner <> $1) "
        "INSERT INTO replicas SELECT $1, agent, clock() FROM unnest($2::text[]) AS a (agent) "
        "ON CONFLICT (owner, agent) DO UPDATE SET seen_at = excluded.seen_at",
        owner,
        sorted(agents),
        FORGET_S,
    )


async def leave(tx: Transaction, owner: str, agents: Collection[str]) -> None:
    """Forget that a process serves these agents."""
    await tx.run("DELETE FROM replicas WHERE owner = $1 AND agent = ANY ($2::text[])", owner, sorted(agents))


async def join(tx: Transaction, team: str) -> None:
    """Bind the journal to a team, once.

    Raises:
        ConfigError: It belongs to another team.
    """
    await tx.run("INSERT INTO meta VALUES ('team', $1) ON CONFLICT DO NOTHING", team)
    bound = await tx.value("SELECT value FROM meta WHERE key = 'team'")
    if bound != team:
        raise ConfigError(
            f"this journal belongs to team {bound!r}, this process to team {team!r}; one team per journal: "
            "give it its own BATON_JOURNAL_URL"
        )


async def _put(tx: Transaction, key: str, value: str) -> None:
    await tx.run(
        "INSERT INTO meta VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value "
        "WHERE meta.value <> excluded.value",
        key,
        value,
    )
