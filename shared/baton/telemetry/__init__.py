"""Tracing, metrics and logs: what happened, told to whoever watches. Nothing here decides anything."""
