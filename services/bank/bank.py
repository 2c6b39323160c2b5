"""The bank that the desk works on: opened once per process, used by the agents' steps.

In: `DESK_BANK_URL`. Out: `Bank`, with its lookups and effects; the ledger says what happened.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from services.bank import seed
from services.bank.card_effects import CardEffects
from services.bank.errors import BankUrlError
from services.bank.money_effects import MoneyEffects
from services.bank.service_effects import ServiceEffects
from services.bank.store import Store

DEFAULT_URL = "sqlite:///.baton/bank.db"
"""Beside the default journal, in the working directory."""


class Bank(CardEffects, MoneyEffects, ServiceEffects):
    """The whole bank: `Lookups`, and the effects on cards, money and people.

    Every effect takes `idempotency_key=` and happens once per key (see `Store.apply`).
    """

    @classmethod
    def open(cls, url: str = DEFAULT_URL) -> "Bank":
        """Open the bank, seeding it first where it is new.

        Args:
            url: `sqlite:///relative/path` or `sqlite:////absolute/path`.

        Raises:
            BankUrlError: The URL is of another kind, or the file is no bank.
        """
        return cls(Store(_path(url), fill=seed.fill))

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Bank":
        """Open the bank that `DESK_BANK_URL` names, or the default one.

        Raises:
            BankUrlError: As for `open`.
        """
        return cls.open((os.environ if environ is None else environ).get("DESK_BANK_URL") or DEFAULT_URL)

    def restore(self) -> None:
        """Put every seeded customer's records back as they were seeded; the ledger stays as it is.

        For demonstrations that are to look the same every time.
        """
        with self._store.transaction() as db:
            seed.restore(db)

    def close(self) -> None:
        """Close the bank; it is unusable afterwards."""
        self._store.close()


def _path(url: str) -> Path:
    scheme, separator, path = url.partition(":///")
    if scheme != "sqlite" or not separator or not path:
        raise BankUrlError(f"DESK_BANK_URL is {url!r}; it has to be sqlite:///PATH")
    return Path(path)
