"""What went wrong with PostgreSQL, and what follows: again at once, again elsewhere, or told to the caller.

In: exceptions of the driver and the operating system. Out: a verdict, and errors of Baton's own.
"""

from typing import NoReturn

import asyncpg  # type: ignore[import-untyped]

from baton.errors import JournalUnavailableError, JournalVersionError

_RACES = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.UniqueViolationError,
)
"""Another transaction was in the way: done again, the operation finds what that one wrote."""
_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.exceptions.InvalidCachedStatementError,
    asyncpg.exceptions.OutdatedSchemaCacheError,
)
"""The connection is of no more use; the server may be back in a moment, or another one in its place."""
_FOREIGN = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
    asyncpg.InvalidSchemaNameError,
)


class ReplyLostError(Exception):
    """A transaction was sent, and nobody knows whether it took effect."""


class RaceError(Exception):
    """What was read is gone again; the operation has to begin anew."""


def is_race(error: BaseException) -> bool:
    """Return True where the operation can be done again at once, on the same connection."""
    return isinstance(error, (*_RACES, RaceError))


def is_away(error: BaseException) -> bool:
    """Return True where the connection or its server is gone, or the outcome is not known."""
    # asyncpg reports wrong arguments as an InterfaceError, too: those harm the operation alone.
    return isinstance(error, (*_AWAY, ReplyLostError)) and not isinstance(
        error, asyncpg.exceptions.DataError | ValueError
    )


def tell(error: Exception) -> NoReturn:
    """Raise `error` as the caller is told of it: trouble with the server is the journal's own.

    Raises:
        JournalVersionError: Tables or functions are not there.
        JournalUnavailableError: The server did not answer.
    """
    if isinstance(error, _FOREIGN):
        told = f"the journal's schema is not what this Baton needs: {error}; {TO_MIGRATE}"
        raise JournalVersionError(told) from error
    if is_away(error) or is_race(error):
        seen = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        told = f"the journal's PostgreSQL did not answer: {seen}; whether it wrote is not known"
        raise JournalUnavailableError(told) from error
    raise error


TO_MIGRATE = "run `baton journal migrate`"
