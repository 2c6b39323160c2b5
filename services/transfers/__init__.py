"""The agent `transfers` of the desk."""
