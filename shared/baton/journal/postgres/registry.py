"""The registered agents, and the team that the journal belongs to.

In: cards at the start of each service. Out: the graph.
"""

from collections.abc import Sequence

from baton.card import Card
from baton.errors import ConfigError
from baton.journal.postgres.transaction import Transaction
from baton.protocol.guards import HUMAN, ROUTER, Graph


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


async def graph(tx: Transaction) -> Graph:
    """Return the union of the registered cards, and the fallback."""
    found = await tx.all(
        "SELECT a.card, f.value FROM (SELECT 1) AS once LEFT JOIN meta f ON f.key = 'fallback' "
        "LEFT JOIN agents a ON true ORDER BY a.name"
    )
    cards = [Card.model_validate_json(row["card"]) for row in found if row["card"]]
    return Graph({card.name: card for card in cards}, found[0]["value"])


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
