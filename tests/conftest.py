"""What every test shares: properties that are tried with the same examples everywhere, and real servers."""

import os

from hypothesis import settings

pytest_plugins = ["tests.support.servers.plugin"]

settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=2_000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
