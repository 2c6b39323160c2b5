"""The production journal: one PostgreSQL schema, shared by every process of a team."""
