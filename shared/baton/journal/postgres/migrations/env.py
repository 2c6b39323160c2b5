"""Where alembic begins: it works on the connection that `schema.migrate` gives it, in its transaction.

In: a connection whose search path is the journal's schema. Out: the schema at the newest version.
"""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table_schema=context.config.attributes["schema"],
    transaction_per_migration=False,
)
context.run_migrations()
