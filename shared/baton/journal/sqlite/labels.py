"""What the router decided on requests, and whose people say that they were.

In: labels. Out: labels, and pages of stored decisions, for measuring a classifier on real traffic.
"""

from baton import ids
from baton.journal import stored
from baton.journal.sqlite import reading
from baton.journal.sqlite.writer import Transaction
from baton.journal.views import DecisionFilter, DecisionView, LabelView
from baton.protocol import labels


def label(tx: Transaction, run_id: str, agent: str, by: str) -> LabelView:
    """Write down whose a run's request was; of a redriven run it is said of the first one, which the router decided on.

    Raises:
        NotFoundError: There is no such run, or several.
        RequestError: There is no such agent.
    """
    found = reading.find(tx, run_id)["root_run_id"]
    reading.find(tx, found)
    labels.check(agent, [row["name"] for row in tx.all("SELECT name FROM agents")])
    tx.run("INSERT OR REPLACE INTO labels VALUES (?, ?, ?, ?)", found, agent, by, tx.now)
    return LabelView(run_id=found, agent=agent, labelled_by=by, labelled_at=tx.now)


def label_of(tx: Transaction, run_id: str) -> LabelView | None:
    """Return whose a run's request was; None: nobody has said."""
    row = tx.one("SELECT * FROM labels WHERE run_id = ?", run_id)
    return None if row is None else LabelView.model_validate(dict(row))


def decisions(tx: Transaction, wanted: DecisionFilter) -> list[DecisionView]:
    """Return a page of the router's first decisions, the oldest first."""
    since_at = tx.now - wanted.since_s
    found = tx.all(
        f"SELECT r.run_id, r.tenant, r.accepted_at, {reading.TEXT}, e.data AS routed, l.agent AS label FROM runs AS r "
        "JOIN events AS e ON e.run_id = r.run_id AND e.number = (SELECT x.number FROM events AS x "
        "WHERE x.run_id = r.run_id AND x.type = 'routed' ORDER BY x.number LIMIT 1) "
        "LEFT JOIN labels AS l ON l.run_id = r.run_id WHERE r.run_id >= ? AND r.run_id > ? "
        "AND r.accepted_at >= ? AND r.redrive_of IS NULL AND (? IS NULL OR r.tenant = ?) "
        "AND (NOT ? OR l.run_id IS NOT NULL) ORDER BY r.run_id LIMIT ?",
        ids.first_run_id(since_at - stored.CLOCKS_APART_S),
        wanted.after,
        since_at,
        wanted.tenant,
        wanted.tenant,
        wanted.is_labelled,
        wanted.limit,
    )
    return list(map(stored.decision_view, found))
