"""A package whose own code fails, as one that was half installed does."""

raise RuntimeError("broken as it is imported")
