"""The agent `payments` of the desk."""
