"""Passwords in files: made once, private, and compared with the broker's hash."""

import stat
from pathlib import Path

import pytest

from baton.errors import ConfigError
from baton.topology import passwords
from baton.topology.permissions import SeenUser

SHA256 = "rabbit_password_hashing_sha256"
HASHED = SeenUser(password_hash="kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR", algorithm=SHA256)
"""RabbitMQ's own example: the password is `test12`, the salt 908D C60A."""


def test_a_password_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    directory = tmp_path / "deep" / "secrets"

    made = passwords.make(directory, "baton-a")

    assert len(made) >= 32
    assert passwords.read(directory, ["baton-a", "baton-b"]) == {"baton-a": made}
    assert stat.S_IMODE((directory / "baton-a").stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    with pytest.raises(ConfigError, match="baton-a' cannot be written"):
        passwords.make(directory, "baton-a")


def test_two_passwords_differ(tmp_path: Path) -> None:
    assert passwords.make(tmp_path, "a") != passwords.make(tmp_path, "b")


def test_a_file_may_end_in_a_line_break_and_hold_blanks(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(" two words \r\n")

    assert passwords.read(tmp_path, ["a"]) == {"a": " two words "}


def test_files_that_cannot_be_used_are_told_all_at_once(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "folder").mkdir()

    with pytest.raises(ConfigError) as caught:
        passwords.read(tmp_path, ["empty", "folder"])

    empty, folder = caught.value.problems
    assert "/empty' is empty" in empty
    assert "/folder' cannot be read" in folder


def test_the_brokers_hash_tells_whether_it_has_the_same_password() -> None:
    assert passwords.is_known("test12", HASHED)
    assert not passwords.is_known("test13", HASHED)


@pytest.mark.parametrize(
    "user",
    [
        SeenUser(),
        SeenUser(password_hash=HASHED.password_hash, algorithm="rabbit_password_hashing_md5"),
        SeenUser(password_hash="no base64", algorithm=SHA256),
        SeenUser(password_hash="kI3G", algorithm=SHA256),
    ],
)
def test_a_hash_that_cannot_be_read_is_not_the_same_password(user: SeenUser) -> None:
    assert not passwords.is_known("test12", user)
