"""The bank's records and effects; `Bank` is all that agents use."""

from services.bank.bank import DEFAULT_URL, Bank
from services.bank.errors import (
    BankError,
    BankUnavailableError,
    BankUrlError,
    EffectRefusedError,
    KeyReusedError,
    UnknownCustomerError,
    UnknownRecordError,
)

__all__ = [
    "DEFAULT_URL",
    "Bank",
    "BankError",
    "BankUnavailableError",
    "BankUrlError",
    "EffectRefusedError",
    "KeyReusedError",
    "UnknownCustomerError",
    "UnknownRecordError",
]
