"""A journal that has seen much: finished runs copied in SQL, since running a hundred thousand takes an hour.

In: a journal with at least one finished run. Out: the same with `count` more.
"""

import asyncpg

BATCH = 2000

RUN = "md5(x.run_id || i)"
"""The id of a copy; as its conversation's, since every run of the relay has one of its own."""
COPIED = {
    "conversations": "'conversation_id', md5(x.conversation_id || i)",
    "runs": f"'run_id', {RUN}, 'conversation_id', {RUN}, 'root_run_id', {RUN}, 'trace_id', {RUN}",
    "hops": f"'run_id', {RUN}",
    "messages": f"'run_id', {RUN}, 'conversation_id', {RUN}",
    "events": f"'run_id', {RUN}",
    "accepted": f"'run_id', {RUN}, 'key', md5('key' || x.run_id || i)",
    "deliveries": f"'run_id', {RUN}, 'delivery_id', md5('delivery' || x.run_id || i)",
    "addresses": f"'run_id', {RUN}",
}
"""Tables that a run writes to, and the columns in which its copies differ."""


async def fill(journal_url: str, count: int) -> None:
    """Copy a finished run `count` times."""
    connection = await asyncpg.connect(journal_url)
    try:
        run_id = await connection.fetchval("SELECT run_id FROM runs WHERE status = 'completed' LIMIT 1")
        assert run_id is not None, "no finished run to copy"
        for first in range(1, count + 1, BATCH):
            for table, changed in COPIED.items():
                name = "conversation_id" if table == "conversations" else "run_id"
                await connection.execute(
                    f"INSERT INTO {table} SELECT made.* FROM {table} x CROSS JOIN generate_series($2::int, $3::int) i "
                    f"CROSS JOIN LATERAL jsonb_populate_record(x, jsonb_build_object({changed})) made "
                    f"WHERE x.{name} = $1",
                    run_id,
                    first,
                    min(count, first + BATCH - 1),
                )
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


async def finished(journal_url: str) -> int:
    """Return how many runs have ended."""
    connection = await asyncpg.connect(journal_url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM runs WHERE ended_at IS NOT NULL"))
    finally:
        await connection.close()
