"""The protocol is explored whole: it is clean, and what breaks a rule of it is caught by the same oracle.

These are the quick budgets of faults, about 20 s on one core; `python -m tests.model --full` has the long ones.
"""

import pytest

from tests.model.broken import BROKEN, COUNTEREXAMPLES, Broken
from tests.model.decisions import Verdict, after_wait, effect_key, is_missed, is_suspect, verdict
from tests.model.explore import Explored, explore
from tests.model.report import catches
from tests.model.rules import DESIGN, Rules, Scenario
from tests.model.scenarios import SCENARIOS
from tests.model.world import World

pytestmark = pytest.mark.slow

KINDS = {
    *("accept", "deliver", "deliver request", "poll", "claim", "claim in vain", "claim again", "effect", "record"),
    *("finish", "publish", "ack", "ack early", "see wait (reply)", "see wait (expiry)", "reply", "expiry"),
    *("see run", "cancel", "sweep", "request again", "send result", "die"),
    *("CRASH", "CONNECTION LOST", "LEASE RUNS OUT", "PUBLISH LOST", "BROKER WIPED"),
    *("MESSAGE DOUBLED", "REQUEST DOUBLED", "POLL, COMMIT REPLY LOST", "CLAIM, COMMIT REPLY LOST"),
    *("RECORD, COMMIT REPLY LOST", "FINISH, COMMIT REPLY LOST", "ACCEPT, COMMIT REPLY LOST"),
    *("REPLY, COMMIT REPLY LOST", "EXPIRY, COMMIT REPLY LOST", "CANCEL, COMMIT REPLY LOST"),
}
"""Every step and every fault there is while all rules hold."""


def told(found: Explored) -> str:
    return f"{found.verdict}: {' → '.join(found.trace)}"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_no_faults_lose_or_double_anything_and_a_good_end_stays_within_reach(scenario: Scenario) -> None:
    found = explore(World(scenario), scenario.quick_faults)
    assert not found.findings, told(found)
    assert found.good_ends


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_the_oracle_catches_a_broken_rule(broken: Broken) -> None:
    found = explore(World(broken.scenario, broken.rules), broken.faults)
    assert catches(broken, found), told(found)


@pytest.mark.parametrize("broken", COUNTEREXAMPLES, ids=lambda broken: broken.name)
def test_the_oracle_finds_the_counterexample_of_an_earlier_wording(broken: Broken) -> None:
    found = explore(World(broken.scenario, broken.rules), broken.faults)
    assert catches(broken, found), told(found)


@pytest.mark.parametrize("rules", [DESIGN._replace(passes_on_at_cancel=False), DESIGN._replace(locks_for_finish=False)])
def test_the_poll_of_the_router_passes_on_a_conversation_that_was_not(rules: Rules) -> None:
    [broken] = [one for one in (*BROKEN, *COUNTEREXAMPLES) if one.rules == rules]
    assert explore(World(broken.scenario, rules), 0).stuck
    found = explore(World(broken.scenario._replace(has_net=True), rules), 0)
    assert not found.findings, told(found)


def test_every_kind_of_step_and_of_fault_happens() -> None:
    quick = (scenario for scenario in SCENARIOS if explore(World(scenario), 0).states < 1_000)
    kinds = {kind for scenario in quick for kind in explore(World(scenario), min(1, scenario.faults)).kinds}
    stale = next(scenario for scenario in SCENARIOS if scenario.cancels_stale)
    assert kinds | explore(World(stale), 0).kinds == {"start"} | KINDS


def test_the_model_runs_the_decisions_of_the_code() -> None:
    assert verdict("route", 1, 6) == Verdict("done", True, False, "pending", "", None, False)
    assert verdict("answer", 1, 6).end == "completed"
    assert verdict("ask", 1, 6) == Verdict("done", True, False, "waiting", "user", None, False)
    assert verdict("approve", 1, 6) == Verdict("waiting", False, False, None, "approval", None, True)
    assert verdict("hand back", 6, 6) == Verdict("pending", False, True, None, "", None, False)
    assert (verdict("raise", 5, 6).hop, verdict("raise", 6, 6).end) == ("pending", "failed")
    assert (after_wait("user", "answered").end, after_wait("user", "expired").end) == (None, "failed")
    assert (after_wait("approval", "answered").end, after_wait("approval", "expired").end) == (None, None)
    assert is_missed(60.0, 60.0)
    assert not is_missed(60.0, None)
    assert not is_missed(0.0, 60.0)
    assert [is_suspect(attempt, 3) for attempt in (1, 2, 3)] == [False, True, True]
    assert effect_key((0, 1), 1, is_stable=True) == effect_key((0, 1), 2, is_stable=True)
