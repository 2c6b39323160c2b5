"""Passwords of the services' users: a file for each, so that secrets come from files.

In: a directory. Out: passwords, made where there are none; and whether the broker has the same.
"""

import base64
import binascii
import hashlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from baton.errors import ConfigError
from baton.topology.permissions import SeenUser

_SALT_BYTES = 4
_RANDOM_BYTES = 24
_DIGESTS = {"rabbit_password_hashing_sha256": "sha256", "rabbit_password_hashing_sha512": "sha512"}


def read(directory: Path, users: Iterable[str]) -> dict[str, str]:
    """Return the passwords that have a file in `directory`.

    Raises:
        ConfigError: A file cannot be read or is empty; tells all of them.
    """
    found: dict[str, str] = {}
    problems: list[str] = []
    for user in users:
        path = directory / user
        try:
            found[user] = path.read_text(encoding="utf-8").rstrip("\r\n")
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"password file {str(path)!r} cannot be read: {error}")
            continue
        if not found[user]:
            problems.append(f"password file {str(path)!r} is empty; write a password to it, or delete it")
    if problems:
        raise ConfigError(problems)
    return found


def make(directory: Path, user: str) -> str:
    """Write a random password to a new file that only its owner may read, and return it.

    Raises:
        ConfigError: The file cannot be written.
    """
    password = secrets.token_urlsafe(_RANDOM_BYTES)
    path = directory / user
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(password + "\n")
    except OSError as error:
        raise ConfigError(f"password file {str(path)!r} cannot be written: {error}") from error
    return password


def is_known(password: str, user: SeenUser) -> bool:
    """True where the broker's hash is that of `password`; False too where it cannot be told.

    Source:
        rabbitmq.com/docs/passwords#computing-password-hash: base64 of salt and digest of salt + password.
    """
    digest = _DIGESTS.get(user.algorithm)
    try:
        stored = base64.b64decode(user.password_hash, validate=True)
    except binascii.Error:
        return False
    if digest is None or len(stored) <= _SALT_BYTES:
        return False
    salt = stored[:_SALT_BYTES]
    return secrets.compare_digest(stored[_SALT_BYTES:], hashlib.new(digest, salt + password.encode()).digest())
