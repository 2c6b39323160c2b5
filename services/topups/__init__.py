"""The agent `topups` of the desk."""
