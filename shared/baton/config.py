"""Settings: environment variables, all read and checked at start, all mistakes told at once.

In: the environment. Out: one frozen `Settings`; nothing else in the library reads variables,
but for OpenTelemetry's own and the fail points.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from baton.errors import ConfigError

PREFIX = "BATON_"
_SECRET = re.compile(r"(?<=://)([^:/@]*):[^/]*@")
_SCHEMES = {
    "broker_url": ("memory://", "amqp://", "amqps://"),
    "journal_url": ("sqlite:///", "postgresql://"),
    "management_url": ("http://", "https://"),
    "jaeger_url": ("http://", "https://"),
}
_FROM_FILE = "_file"
"""`BATON_BROKER_URL_FILE` names a file that holds what `BATON_BROKER_URL` would: for secrets."""


class Settings(BaseModel):
    """Everything that can be set; the variable is `BATON_` and the field's name in capitals."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", str_strip_whitespace=True)

    broker_url: str = "memory://"
    """What carries envelopes: `memory://`, `amqp://…`, `amqps://…`."""
    journal_url: str = "sqlite:///.baton/journal.db"
    """The durable record: `sqlite:///path`, `postgresql://…`."""
    concurrency: int = Field(default=16, ge=1, le=1000)
    """Hops that one agent works on at a time in one process; an agent's own setting wins."""
    lease_s: float = Field(default=30.0, ge=0.5, le=3600)
    """Seconds a hop stays with a worker that has not been heard of; renewed every third."""
    grace_s: float = Field(default=25.0, ge=0, le=3600)
    """Seconds that running hops get to finish after SIGTERM."""
    poll_s: float = Field(default=1.0, ge=0.05, le=60)
    """Seconds between two looks into the journal, jittered by a fifth."""
    tenant_running: int | None = Field(default=None, ge=1)
    """Runs that a tenant may have under way, so that others get their turn; unless set, any number."""
    sticky_s: float = Field(default=3600.0, ge=0)
    """Seconds for which a follow-up goes to the agent that answered last."""
    false_handoffs: float = Field(default=0.02, ge=0, le=0.4)
    """Share of the messages that should stay with their agent which may be moved to another; 0: none is."""
    encoder: Literal["auto", "none"] = "auto"
    """`auto`: the router reads what requests mean where the extra `embed` is installed; `none`: by words alone."""
    max_hops: int = Field(default=16, ge=1, le=1000)
    """Hops a run may take unless its request says otherwise; replies and waits do not count."""
    retry_base_s: float = Field(default=2.0, gt=0, le=300)
    """First backoff: a retry waits a random time up to `base * 2^(attempt-1)`, at most 5 min."""
    consumer_timeout_s: float = Field(default=1800.0, ge=60, le=86400)
    """RabbitMQ's `consumer_timeout`, in seconds; a delivery is held for a third of it, at most 10 min."""
    management_url: str | None = None
    """RabbitMQ's management API: `http://user:password@host:15672`; for `baton topology` only."""
    health_host: str = "127.0.0.1"
    """Where `/healthz` and `/readyz` listen."""
    health_port: int | None = Field(default=None, ge=0, le=65535)
    """Their port; none unless set, 0 for any."""
    tenant: str = Field(default="default", min_length=1, max_length=100)
    """Whose requests the embedded client and the command line send."""
    trace_layout: Literal["run", "nested"] = "run"
    """`run`: every hop is a child of the run's root span; `nested`: of the span that published it."""
    trace_caller: Literal["link", "continue"] = "link"
    """What a caller's `traceparent` is: linked to the run's trace, or the trace that the run is a part of."""
    trace_failed: bool = True
    """Whether a run that fails is traced whole although its trace was not sampled."""
    capture_content: bool = False
    """Whether texts of requests, answers and questions may leave the journal in spans."""
    jaeger_url: str = "http://127.0.0.1:16686"
    """Where Jaeger shows traces: `baton trace --url` prints addresses there; nothing is sent to it."""
    log_format: Literal["text", "json"] = "text"
    """How log lines are written to standard error."""
    log_level: str = Field(default="WARNING", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    """What is logged to standard error: DEBUG, INFO, WARNING or ERROR."""

    @field_validator("broker_url", "journal_url", "management_url", "jaeger_url")
    @classmethod
    def _has_known_scheme(cls, url: str | None, info: ValidationInfo) -> str | None:
        allowed = _SCHEMES[str(info.field_name)]
        if url is not None and not url.startswith(allowed):
            told = ", ".join(f"{scheme}…" for scheme in allowed)
            raise PydanticCustomError("scheme", "allowed are {told}", {"told": told})
        return url

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Return the settings in `environ`.

        Raises:
            ConfigError: Lists every variable that is unknown or out of range, at once.
        """
        problems: list[str] = []
        given = {
            name[len(PREFIX) :].lower(): value
            for name, value in environ.items()
            if name.startswith(PREFIX) and name not in _NOT_SETTINGS and not name.startswith(_TEST_PREFIX)
        }
        _read_files(given, problems)
        for name in sorted(given.keys() - cls.model_fields.keys()):
            problems.append(f"{PREFIX}{name.upper()} is no setting; see `baton config`")
        known = {name: value for name, value in given.items() if name in cls.model_fields}
        try:
            settings = cls.model_validate(known)
        except ValidationError as error:
            problems += [_told(one["loc"], one["input"], one["msg"]) for one in error.errors(include_url=False)]
            raise ConfigError(problems) from error
        if problems:
            raise ConfigError(problems)
        return settings

    def shown(self) -> dict[str, str]:
        """Return every variable with its effective value, passwords masked."""
        return {PREFIX + name.upper(): masked(str(value)) for name, value in self.model_dump().items()}

    @property
    def is_embedded(self) -> bool:
        """True where everything runs in one process: nothing to install or start."""
        return self.broker_url.startswith("memory://")


_NOT_SETTINGS = frozenset({"BATON_TESTING", "BATON_FAIL_AT"})
_TEST_PREFIX = "BATON_TEST_"


def _read_files(given: dict[str, str], problems: list[str]) -> None:
    """Replace each URL that is given by the name of a file with what the file holds."""
    for name in _SCHEMES:
        path = given.pop(name + _FROM_FILE, None)
        if path is None:
            continue
        variable = PREFIX + name.upper()
        if name in given:
            problems.append(f"{variable} and {variable}_FILE are both set; one of them is enough")
            continue
        try:
            given[name] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"{variable}_FILE is {path!r}, which cannot be read: {error}")


def masked(url: str) -> str:
    """Return `url` with its password as `***`."""
    return _SECRET.sub(r"\1:***@", url)


def _told(loc: tuple[int | str, ...], value: object, message: str) -> str:
    return f"{PREFIX}{str(loc[0]).upper()} is {masked(str(value))!r}: {message}"
