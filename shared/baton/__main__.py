"""`python -m baton` is the command `baton`."""

from baton.cli.app import main

main()
