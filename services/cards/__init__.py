"""The agent `cards` of the desk."""
