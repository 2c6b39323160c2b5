"""The journal's tables, and the functions that write many hops in one call."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
PARTS = ("v0001_journal.sql", "v0001_functions.sql")


def upgrade() -> None:
    """Make the tables and functions in the schema that the connection is in."""
    cursor = op.get_bind().connection.cursor()
    for name in PARTS:
        cursor.execute(Path(__file__).with_name(name).read_text(encoding="utf-8"))
