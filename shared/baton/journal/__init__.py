"""The durable record and queue of record: its contract, its rows, and the embedded SQLite one."""
