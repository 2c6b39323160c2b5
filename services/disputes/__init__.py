"""The agent `disputes` of the desk."""
