"""Services die, stand still and come back, and no run is lost or done twice: the short form of `make chaos`."""

import pytest

from baton import failpoints
from tests.e2e.faults import deploys, kills, messages
from tests.e2e.faults.arena import Arena

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(300)]


async def test_a_kill_at_any_point_loses_and_doubles_nothing(short: Arena) -> None:
    verdict = await kills.kill_at_points(short)
    verdict.check(short.fleet.logs())
    assert {*kills.SHORT_ROUTER_POINTS, *kills.SHORT_AGENT_POINTS} == set(failpoints.POINTS)
    assert len(short.struck_at) == len(failpoints.POINTS)


async def test_kills_at_any_moment_lose_and_double_nothing(short: Arena) -> None:
    (await kills.kill_at_random(short)).check(short.fleet.logs())
    assert len(short.struck_at) >= 4


async def test_a_worker_that_stood_still_past_its_lease_is_fenced(short: Arena) -> None:
    (await kills.freeze(short)).check(short.fleet.logs())


async def test_messages_tripled_and_out_of_order_change_nothing(short: Arena) -> None:
    (await messages.triple(short)).check(short.fleet.logs())


async def test_poison_harms_only_its_own_run(short: Arena) -> None:
    (await messages.poison(short)).check(short.fleet.logs())


async def test_an_undeployed_target_is_never_silent(short: Arena) -> None:
    (await messages.undeployed(short)).check(short.fleet.logs())


async def test_a_stopped_worker_finishes_what_is_short_and_hands_back_what_is_long(short: Arena) -> None:
    (await deploys.stop(short)).check(short.fleet.logs())


async def test_a_rolling_deploy_fails_no_run(short: Arena) -> None:
    (await deploys.roll(short)).check(short.fleet.logs())


async def test_a_cancel_that_races_the_end_has_one_outcome(short: Arena) -> None:
    (await deploys.cancel(short)).check(short.fleet.logs())


async def test_a_quiet_tenant_is_served_beside_a_loud_one(short: Arena) -> None:
    (await deploys.noisy_tenant(short)).check(short.fleet.logs())
