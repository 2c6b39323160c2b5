"""`baton topology` on a real RabbitMQ: applied twice, drift named, what cannot be changed refused."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from baton.journal.sqlite.journal import SqliteJournal
from tests.integration.topology_team import team
from tests.support.servers.handles import RabbitServer
from tests.support.topology import Topology

ENTITIES = 4 + 7 + 7 + 1


@pytest.fixture
def topology(amqp_server: RabbitServer, amqp_url: str, tmp_path: Path) -> Iterator[Topology]:
    found = Topology(amqp_server, amqp_url, tmp_path, prefix=f"t{secrets.token_hex(4)}-")
    yield found
    found.forget_users()


async def test_apply_makes_everything_once(topology: Topology) -> None:
    dry = await topology("apply", "--dry-run")
    nothing_yet = await topology("check")
    first = await topology("apply")
    second = await topology("apply")
    check = await topology("check")

    assert first.out == dry.out
    assert [line[0] for line in first.out.splitlines()] == ["+"] * ENTITIES
    assert (nothing_yet.code, nothing_yet.out.splitlines()[-1]) == (1, f"{ENTITIES} differences")
    assert second.out == f"= nothing to do: {ENTITIES} entities looked at\n"
    assert (check.code, check.out) == (0, f"no drift: all {ENTITIES} entities are as they should be\n")
    assert (dry.code, first.code, second.code) == (0, 0, 0)


async def test_the_broker_has_what_was_applied(topology: Topology) -> None:
    await topology("apply")
    shown = (await topology("show", "--json")).object
    queues = {queue["name"]: queue for queue in topology.api("GET", "queues/{vhost}")}
    (policy,) = topology.api("GET", "policies/{vhost}")

    assert set(queues) == {queue["name"] for queue in shown["queues"]}
    assert {queue["type"] for queue in queues.values()} == {"quorum"}
    assert all(set(queue["arguments"]) == {"x-queue-type"} for queue in queues.values())
    assert policy["definition"].items() <= shown["policy"]["definition"].items()
    has_timeouts = topology.server.version_info >= (3, 12)
    assert policy["definition"].get("consumer-timeout") == (1_800_000 if has_timeouts else None)


async def test_drift_is_named_and_what_can_be_is_put_right(topology: Topology) -> None:
    await topology("apply")
    topology.api("DELETE", "queues/{vhost}/baton.agent.cards")
    topology.api("PUT", "queues/{vhost}/baton.agent.old", {"durable": True})
    topology.api("POST", "bindings/{vhost}/e/baton.work/q/baton.agent.vault", {"routing_key": "disputes"})
    topology.api("PUT", "policies/{vhost}/baton", {"pattern": "^baton", "definition": {"max-length": 7}})

    check = await topology("check", "--json")
    applied = await topology("apply")
    again = await topology("check", "--json")

    seen = [(one["state"], one["entity"], one["name"]) for one in check.object["differences"]]
    extra = [
        ("extra", "queue", "baton.agent.old"),
        ("extra", "binding", "baton.work → baton.agent.vault, key 'disputes'"),
    ]
    assert seen == [
        ("different", "policy", "baton"),
        ("missing", "queue", "baton.agent.cards"),
        extra[0],
        ("missing", "binding", "baton.work → baton.agent.cards, key 'cards'"),
        extra[1],
    ]
    assert (check.code, check.object["well"]) == (1, False)
    assert [line[0] for line in applied.out.splitlines()] == ["~", "+", "!", "+", "!"]
    assert "max-length 7, should be 100000" in applied.out
    assert applied.code == 0
    assert [(one["state"], one["entity"], one["name"]) for one in again.object["differences"]] == extra


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        (
            "queues/{vhost}/baton.agent.cards",
            {"durable": True, "arguments": {"x-queue-type": "classic"}},
            "queue baton.agent.cards: exists as a classic queue; a quorum queue is needed",
        ),
        (
            "queues/{vhost}/baton.requests",
            {"durable": True, "arguments": {"x-queue-type": "quorum", "x-max-length": 5}},
            "queue baton.requests: exists with x-max-length 5",
        ),
        ("exchanges/{vhost}/baton.work", {"type": "direct"}, "exchange baton.work: exists as a direct exchange"),
    ],
)
async def test_what_cannot_be_changed_is_refused_and_nothing_is_touched(
    topology: Topology, path: str, body: object, told: str
) -> None:
    topology.api("PUT", path, body)

    applied = await topology("apply")

    assert applied.code == 2
    assert applied.err.startswith(f"error: {told}")
    assert "nothing was changed" in applied.err
    assert topology.api("GET", "policies/{vhost}") == []


async def test_a_policy_that_overrules_ours_is_an_error_of_apply_and_check(topology: Topology) -> None:
    await topology("apply")
    everything = {"pattern": ".*", "priority": 99, "apply-to": "queues", "definition": {"max-length": 1}}
    topology.api("PUT", "policies/{vhost}/greedy", everything)

    applied = await topology("apply")
    check = await topology("check")

    assert (applied.code, check.code) == (1, 1)
    assert "! policy baton: policy 'greedy' with priority 99 covers baton.requests" in applied.out
    assert "overruled" in check.out


async def test_cards_come_from_the_journal_where_no_team_is_named(topology: Topology) -> None:
    nowhere = await topology("check", team="")
    journal = SqliteJournal(topology.directory / "journal.db")
    await journal.start(serves=True, team=team.name)
    nobody = await topology("check", team="")
    await journal.enrol(team.cards(), fallback=team.fallback)
    await journal.close()

    assert (nowhere.code, nobody.code) == (2, 2)
    assert "there is no journal" in nowhere.err
    assert "has no agents yet; name a team with --team" in nobody.err
    for command in (["show"], ["permissions"], ["apply", "--dry-run"]):
        assert await topology(*command, team="") == await topology(*command)


async def test_users_are_made_once_with_passwords_from_files(topology: Topology) -> None:
    first = await topology.permit()
    second = await topology.permit()
    names = [topology.prefix + name for name in ("cards", "clerk", "disputes", "vault", "router", "client")]

    assert first.out.splitlines() == [f"+ user {name}" for name in names]
    assert second.out == "= nothing to do: 6 users looked at\n"
    assert sorted(path.name for path in topology.passwords.iterdir()) == sorted(names)
    assert {user["name"]: user["tags"] for user in topology.api("GET", "users") if user["name"] in names} == {
        name: [] for name in names
    }


async def test_new_users_need_passwords(topology: Topology) -> None:
    done = await topology("permissions", "--apply", "--prefix", topology.prefix)

    assert done.code == 2
    assert f"new users need passwords: {topology.prefix}cards" in done.err


async def test_users_that_drifted_are_put_right(topology: Topology) -> None:
    await topology.permit()
    cards, old = f"{topology.prefix}cards", f"{topology.prefix}old"
    topology.api("PUT", f"users/{cards}", {"password": "other", "tags": "impersonator"})
    topology.api("PUT", f"permissions/{{vhost}}/{cards}", {"configure": ".*", "write": ".*", "read": ".*"})
    topology.api("DELETE", f"topic-permissions/{{vhost}}/{topology.prefix}disputes")
    topology.api("PUT", f"users/{old}", {"password": "other", "tags": ""})
    topology.api("PUT", f"permissions/{{vhost}}/{old}", {"configure": ".*", "write": ".*", "read": ".*"})

    changed = (await topology.permit()).out.splitlines()
    again = (await topology.permit()).out.splitlines()

    assert changed[0].startswith(f"~ user {cards}: password as in its file; tags impersonator taken away; configure .*")
    assert changed[1].startswith(f"~ user {topology.prefix}disputes: keys of baton.events: write .* becomes ^")
    assert changed[2].startswith(f"! user {old}: no service has this name")
    assert again == [changed[2], "= nothing to do: 6 users looked at"]


async def test_a_user_keeps_its_password_where_no_file_says_otherwise(topology: Topology) -> None:
    await topology.permit()
    cards = f"{topology.prefix}cards"
    before = topology.api("GET", f"users/{cards}")["password_hash"]
    topology.api("PUT", f"users/{cards}", {"password_hash": before, "tags": "monitoring"})
    (topology.passwords / cards).unlink()

    changed = await topology.permit()

    assert changed.out == f"~ user {cards}: tags monitoring taken away\n"
    assert topology.api("GET", f"users/{cards}")["password_hash"] == before
    assert not (topology.passwords / cards).exists()


async def test_a_broker_that_cannot_be_asked_is_one_clear_line(topology: Topology) -> None:
    management_url = topology.server.management_url
    at = management_url.rpartition("@")[2]
    unreachable = await topology("check", BATON_MANAGEMENT_URL="http://a:b@127.0.0.1:1")
    not_http = await topology("check", BATON_MANAGEMENT_URL=f"http://a:b@{topology.url.split('@')[1].split('/')[0]}")
    refused = await topology("check", BATON_MANAGEMENT_URL=f"http://nobody:wrong@{at}")
    no_vhost = await topology("check", BATON_BROKER_URL="amqp://127.0.0.1/no-such-vhost")
    no_broker = await topology("check", BATON_BROKER_URL="memory://")
    done = [unreachable, not_http, refused, no_vhost, no_broker]

    assert [one.code for one in done] == [2] * len(done)
    assert [len(one.err.splitlines()) for one in done] == [1] * len(done)
    assert "http://127.0.0.1:1 cannot be reached" in unreachable.err
    assert "does not speak HTTP" in not_http.err
    assert "refuses GET /api/overview to user 'nobody'" in refused.err
    assert "there is no vhost 'no-such-vhost'" in no_vhost.err
    assert "topology needs RabbitMQ" in no_broker.err


async def test_a_user_without_rights_learns_which_it_needs(topology: Topology) -> None:
    await topology.permit()
    user = f"{topology.prefix}cards"
    password = (topology.passwords / user).read_text().strip()
    at = topology.server.management_url.rpartition("@")[2]

    done = await topology("apply", BATON_MANAGEMENT_URL=f"http://{user}:{password}@{at}")

    assert done.code == 2
    assert "to change the tag administrator" in done.err
