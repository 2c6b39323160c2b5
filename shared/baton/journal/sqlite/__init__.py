"""The embedded journal: one SQLite file, WAL, one writer thread, group commit."""
