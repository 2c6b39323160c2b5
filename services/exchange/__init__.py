"""The agent `exchange` of the desk."""
