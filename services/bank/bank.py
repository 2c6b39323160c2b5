"""The bank that the desk works on: opened once per process, used by the agents' steps.

In: `DESK_BANK_URL`, or a file that holds it. Out: `Bank`, with its lookups and effects; the ledger says what happened.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from baton.config import masked
from services.bank import seed
from services.bank.card_effects import CardEffects
from services.bank.errors import BankUrlError
from services.bank.money_effects import MoneyEffects
from services.bank.service_effects import ServiceEffects
from services.bank.sqlite_store import SqliteStore
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
            url: `sqlite:///relative/path`, `sqlite:////absolute/path`, or `postgresql://user:password@host/database`;
                there the bank is the schema `bank`, or the one that `?search_path=NAME` says.

        Raises:
            BankUrlError: The URL is of another kind, or what it names is no bank.
        """
        return cls(_store(url))

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Bank":
        """Open the bank that `DESK_BANK_URL` names, or the file `DESK_BANK_URL_FILE` holds, or the default one.

        Raises:
            BankUrlError: As for `open`; or both variables are set, or the file cannot be read.
        """
        return cls.open(_url(os.environ if environ is None else environ))

    def restore(self) -> None:
        """Put every seeded customer's records back as they were seeded; the ledger stays as it is.

        For demonstrations that are to look the same every time.
        """
        self._store.transact(lambda: seed.restore(self._store), customers=seed.SEEDED)

    def close(self) -> None:
        """Close the bank; it is unusable afterwards."""
        self._store.close()


def _url(environ: Mapping[str, str]) -> str:
    url, file = environ.get("DESK_BANK_URL"), environ.get("DESK_BANK_URL_FILE")
    if not file:
        return url or DEFAULT_URL
    if url:
        raise BankUrlError("DESK_BANK_URL and DESK_BANK_URL_FILE are both set; set one of them")
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise BankUrlError(f"DESK_BANK_URL_FILE is {file!r}: {error}") from error


def _store(url: str) -> Store:
    if url.startswith(("postgresql://", "postgres://")):
        # Loaded only where it is used: the embedded desk starts without a client of PostgreSQL.
        from services.bank.postgres_store import PostgresStore

        return PostgresStore(url, fill=seed.fill)
    scheme, separator, path = url.partition(":///")
    if scheme != "sqlite" or not separator or not path:
        told = "it has to be sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE"
        raise BankUrlError(f"DESK_BANK_URL is {masked(url)!r}; {told}")
    return SqliteStore(Path(path), fill=seed.fill)
