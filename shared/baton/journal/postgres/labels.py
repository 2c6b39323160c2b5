"""What the router decided on requests, and whose people say that they were.

In: labels. Out: labels, and pages of stored decisions, for measuring a classifier on real traffic.
"""

from baton import ids
from baton.errors import NotFoundError
from baton.journal import stored
from baton.journal.postgres import reading
from baton.journal.postgres.transaction import Transaction
from baton.journal.views import DecisionFilter, DecisionView, LabelView
from baton.protocol import labels


async def label(tx: Transaction, run_id: str, agent: str, by: str) -> LabelView:
    """Write down whose a run's request was; of a redriven run it is said of the first one, which the router decided on.

    Raises:
        NotFoundError: There is no such run, or several.
        RequestError: There is no such agent.
    """
    found = await reading.find(tx, run_id)
    labels.check(agent, [row["name"] for row in await tx.all("SELECT name FROM agents")])
    row = await tx.one(  # shares the run's lock: pruning takes both, or comes first and leaves no run to label
        "INSERT INTO labels SELECT run_id, $2, $3, clock() FROM runs "
        "WHERE run_id = (SELECT root_run_id FROM runs WHERE run_id = $1) FOR SHARE "
        "ON CONFLICT (run_id) DO UPDATE SET agent = excluded.agent, labelled_by = excluded.labelled_by, "
        "labelled_at = excluded.labelled_at RETURNING *",
        found,
        agent,
        by,
    )
    if row is None:
        raise NotFoundError(f"no run {run_id!r}; `baton runs` lists them")
    return LabelView.model_validate(dict(row))


async def label_of(tx: Transaction, run_id: str) -> LabelView | None:
    """Return whose a run's request was; None: nobody has said."""
    reading.check_text(run_id)
    row = await tx.one("SELECT * FROM labels WHERE run_id = $1", run_id)
    return None if row is None else LabelView.model_validate(dict(row))


async def decisions(tx: Transaction, wanted: DecisionFilter) -> list[DecisionView]:
    """Return a page of the router's first decisions, the oldest first."""
    for text in (wanted.tenant or "", wanted.after):
        reading.check_text(text)
    await tx.tick()
    since_at = tx.now - wanted.since_s
    found = await tx.all(
        f"SELECT r.run_id, r.tenant, r.accepted_at, {reading.TEXT}, e.data AS routed, l.agent AS label FROM runs r "
        "CROSS JOIN LATERAL (SELECT data FROM events WHERE run_id = r.run_id AND type = 'routed' "
        "ORDER BY number LIMIT 1) AS e LEFT JOIN labels l ON l.run_id = r.run_id "
        "WHERE r.run_id >= $1 AND r.run_id > $2 AND r.accepted_at >= $3 AND r.redrive_of IS NULL "
        "AND ($4::text IS NULL OR r.tenant = $4) AND (NOT $5 OR l.run_id IS NOT NULL) ORDER BY r.run_id LIMIT $6",
        ids.first_run_id(since_at - stored.CLOCKS_APART_S),
        wanted.after,
        since_at,
        wanted.tenant,
        wanted.is_labelled,
        wanted.limit,
    )
    return list(map(stored.decision_view, found))
