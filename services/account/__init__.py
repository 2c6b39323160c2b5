"""The agent `account` of the desk."""
