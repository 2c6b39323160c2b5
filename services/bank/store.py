"""What the bank's storage does, whatever holds it: records, short transactions, effects unique on their key.

In: SQL of `lookups` and the effects, with `?` for each value. Out: records, and receipts that are the same
for the same key. `sqlite_store` and `postgres_store` hold the rows; both are safe from threads and processes.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from services.bank.errors import KeyReusedError
from services.bank.records import Receipt

FIRST_NUMBER = 2001
"""Of the ids that effects give out, such as `D-2001`; seeded records have lower ones."""

PATIENCE_S = 10.0
"""How long a call waits for another process's transaction, or for a database that is away."""

Record = TypeVar("Record")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Effect:
    """What the ledger notes of one effect."""

    name: str
    """The domain method, such as `freeze_card`."""
    key: str
    """The idempotency key; one effect per key, for ever."""
    customer: str


class Store(ABC):
    """One open bank; `close` it when the process ends."""

    @abstractmethod
    def close(self) -> None:
        """Close the bank; the store is unusable afterwards."""

    @abstractmethod
    def rows(self, sql: str, args: Sequence[object]) -> list[dict[str, Any]]:
        """Return the rows of `sql`, by column name."""

    @abstractmethod
    def change(self, sql: str, *args: object) -> int:
        """Run one changing statement and return the number of rows it hit; only inside `transact`."""

    @abstractmethod
    def next_number(self) -> int:
        """Return a number that no effect before has had; only inside `apply`."""

    @abstractmethod
    def transact(self, work: Callable[[], Result], *, customers: Sequence[str]) -> Result:
        """Run `work` as one transaction: all its changes are kept, or none if it raises.

        Args:
            work: Reads and changes through this store. It may be run again, after a rollback.
            customers: Whose records `work` changes; nobody else changes them meanwhile.
        """

    def all(self, record: type[Record], sql: str, *args: object) -> list[Record]:
        """Return the rows of `sql` as records; column names are the fields."""
        return [record(**row) for row in self.rows(sql, args)]

    def one(self, record: type[Record], sql: str, *args: object) -> Record | None:
        """Return the first row of `sql` as a record, or None."""
        return next(iter(self.all(record, sql, *args)), None)

    def count(self, sql: str, *args: object) -> int:
        """Return the only column of the only row of `sql`, a number."""
        (row,) = self.rows(sql, args)
        (value,) = row.values()
        return int(value)

    def apply(self, effect: Effect, act: Callable[[], Receipt]) -> Receipt:
        """Run `act` at most once per key and return its receipt, now and every later time.

        The ledger row and the changes of `act` are one transaction, so a crash leaves both or
        neither. If `act` raises, nothing is kept and the key stays free.

        Raises:
            KeyReusedError: The key was used before for another effect or customer.
        """

        def once() -> Receipt:
            for row in self.rows("SELECT effect, customer, receipt FROM ledger WHERE key = ?", (effect.key,)):
                if (row["effect"], row["customer"]) != (effect.name, effect.customer):
                    raise KeyReusedError(effect.key, first=row["effect"], second=effect.name)
                self.change("UPDATE ledger SET attempts = attempts + 1 WHERE key = ?", effect.key)
                return Receipt(**json.loads(row["receipt"]))
            return self._note(effect, act())

        return self.transact(once, customers=(effect.customer,))

    def _note(self, effect: Effect, receipt: Receipt) -> Receipt:
        self.change(
            "INSERT INTO ledger (key, effect, customer, detail, amount_minor, at, attempts, receipt) "
            "VALUES (?, ?, ?, ?, ?, ?, 1, ?)",
            effect.key,
            effect.name,
            effect.customer,
            receipt.detail,
            receipt.amount_minor,
            datetime.now(UTC).isoformat(timespec="milliseconds"),
            json.dumps(asdict(receipt)),
        )
        return receipt
