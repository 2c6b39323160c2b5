"""The command line: `baton demo`, `baton run`, `baton send`, and what reads the journal."""
