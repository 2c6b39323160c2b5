"""The shipped desk: a bank's support desk, one folder per running process."""
