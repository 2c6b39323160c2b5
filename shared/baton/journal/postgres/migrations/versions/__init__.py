"""One module for each version of the schema, with its SQL beside it."""
