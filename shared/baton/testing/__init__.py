"""For tests of agents: turns without a service, a team served in the test, and crashes on demand."""

from baton.testing.builders import make_turn
from baton.testing.scripted import ScriptedClassifier, scripted_agent
from baton.testing.serving import Served, serve
from baton.testing.tracing import span_tree

__all__ = ["ScriptedClassifier", "Served", "make_turn", "scripted_agent", "serve", "span_tree"]
