"""The agent `cash` of the desk."""
