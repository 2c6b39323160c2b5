"""Settings: every mistake told at once, no password shown."""

import pytest
from pydantic import ValidationError

from baton.config import Settings, masked
from baton.errors import ConfigError


def test_without_variables_everything_is_embedded_and_has_its_default() -> None:
    settings = Settings.from_env({"PATH": "/bin", "OTEL_SERVICE_NAME": "x"})
    assert settings == Settings()
    assert settings.is_embedded
    assert (settings.lease_s, settings.poll_s, settings.max_hops) == (30.0, 1.0, 16)
    assert (settings.retry_base_s, settings.sticky_s, settings.tenant) == (2.0, 3600.0, "default")


def test_each_variable_sets_the_field_of_its_name() -> None:
    settings = Settings.from_env(
        {"BATON_CONCURRENCY": "3", "BATON_LEASE_S": " 1.5 ", "BATON_BROKER_URL": "amqps://mq/desk"}
    )
    assert (settings.concurrency, settings.lease_s, settings.broker_url) == (3, 1.5, "amqps://mq/desk")
    assert not settings.is_embedded


def test_all_mistakes_are_told_at_once() -> None:
    environ = {
        "BATON_BROKER_URL": "kafka://u:secret@mq",
        "BATON_JOURNAL_URL": "mysql://u:secret@db",
        "BATON_CONCURENCY": "3",
        "BATON_CONCURRENCY": "many",
        "BATON_LEASE_S": "0.1",
        "BATON_POLL_S": "",
        "BATON_LOG_LEVEL": "loud",
        "BATON_TENANT": " ",
        "BATON_GRACE_S": "nan",
        "BATON_MAX_HOPS": "0",
    }
    with pytest.raises(ConfigError) as caught:
        Settings.from_env(environ)
    told = caught.value.problems
    assert {name for name in environ if any(line.startswith(name + " is ") for line in told)} == environ.keys()
    assert len(told) == len(environ)
    assert "secret" not in str(caught.value)
    assert "memory://…, amqp://…, amqps://…" in str(caught.value)


def test_a_variable_that_is_no_setting_is_told_alone_too() -> None:
    with pytest.raises(ConfigError, match="BATON_LEASES is no setting"):
        Settings.from_env({"BATON_LEASES": "30"})


def test_variables_of_tests_and_fail_points_are_left_alone() -> None:
    environ = {"BATON_TESTING": "1", "BATON_FAIL_AT": "hop.claimed", "BATON_TEST_DATABASE": "x"}
    assert Settings.from_env(environ) == Settings()


@pytest.mark.parametrize(
    ("field", "least", "most"),
    [
        ("concurrency", 1, 1000),
        ("lease_s", 0.5, 3600),
        ("poll_s", 0.05, 60),
        ("grace_s", 0, 3600),
        ("max_hops", 1, 1000),
    ],
)
def test_numbers_may_have_their_bounds_and_nothing_beyond(field: str, least: float, most: float) -> None:
    name = f"BATON_{field.upper()}"
    for inside in (least, most):
        assert getattr(Settings.from_env({name: str(inside)}), field) == inside
    for outside in (least - 1, most + 1):
        with pytest.raises(ConfigError, match=f"{name} is '{outside}'"):
            Settings.from_env({name: str(outside)})


def test_settings_made_in_code_are_checked_alike() -> None:
    with pytest.raises(ValidationError, match="allowed are"):
        Settings(journal_url="journal.db")


def test_shown_settings_have_every_variable_and_no_password() -> None:
    shown = Settings(broker_url="amqp://baton:s3cret@mq/desk").shown()
    assert shown["BATON_BROKER_URL"] == "amqp://baton:***@mq/desk"
    assert shown.keys() == {f"BATON_{name.upper()}" for name in Settings.model_fields}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amqp://user:pass@host/vhost", "amqp://user:***@host/vhost"),
        ("postgresql://u:p@ss:w@rd@db:5432/x", "postgresql://u:***@db:5432/x"),
        ("amqp://:only@host", "amqp://:***@host"),
        ("amqp://host:5672/vhost@x", "amqp://host:5672/vhost@x"),
        ("sqlite:///a:b@c.db", "sqlite:///a:b@c.db"),
    ],
)
def test_a_password_is_masked_whatever_is_in_it(url: str, shown: str) -> None:
    assert masked(url) == shown
