"""The journal's tables, and the functions that write many hops in one call."""

from importlib import resources

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables and functions in the schema that the connection is in."""
    cursor = op.get_bind().connection.cursor()
    for name in ("v0001_journal.sql", "v0001_functions.sql"):
        cursor.execute(resources.files(__package__ or __name__).joinpath(name).read_text(encoding="utf-8"))
