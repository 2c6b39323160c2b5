"""What the bank refuses, and why.

BankError
├── UnknownCustomerError        no such customer
├── UnknownRecordError          no such card, transaction, rate, …
├── EffectRefusedError          the records do not allow it now
└── KeyReusedError              one idempotency key, two different effects
BankUnavailableError            the database is away; a `TransientError`, so the hop is tried again
BankUrlError                    at start; a `ConfigError`, exit code 2
"""

from baton.errors import ConfigError, PermanentError, TransientError


class BankError(PermanentError):
    """Base of what the bank refuses: trying again would not help, so the run fails."""

    code = "bank"


class UnknownCustomerError(BankError):
    """The bank has no customer of that id."""

    code = "unknown_customer"

    def __init__(self, customer: str) -> None:
        super().__init__(f"no customer {customer!r} in the bank's records; see `Bank.customers()`")
        self.customer = customer


class UnknownRecordError(BankError):
    """The bank has no record of that kind and id."""

    code = "unknown_record"

    def __init__(self, kind: str, record: str) -> None:
        super().__init__(f"no {kind} {record!r} in the bank's records")
        self.kind = kind
        self.record = record


class EffectRefusedError(BankError):
    """The records do not allow this effect now; nothing was changed."""

    code = "effect_refused"


class KeyReusedError(BankError):
    """An idempotency key came back with another effect or customer; nothing was changed."""

    code = "key_reused"

    def __init__(self, key: str, *, first: str, second: str) -> None:
        super().__init__(f"idempotency key {key!r} stands for {first!r}; it cannot also stand for {second!r}")
        self.key = key


class BankUnavailableError(TransientError):
    """The bank's database did not answer in time; the effect may or may not have happened.

    Trying again under the same key is safe.
    """

    code = "bank_unavailable"

    def __init__(self, problem: str) -> None:
        super().__init__(f"the bank does not answer: {problem}")


class BankUrlError(ConfigError):
    """`DESK_BANK_URL` names no bank that can be opened."""

    code = "bank_url"
