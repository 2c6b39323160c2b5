"""Vectors kept on disk: the same to the bit, and never an error."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from baton.card import Card
from baton.routing import kept_vectors
from baton.routing.features import FloatArray
from baton.routing.offline import OfflineClassifier

ARRAY = b"\x93NUMPY\x01\x00v\x00{'descr': '<i8', 'fortran_order': False, 'shape': (0,), }".ljust(127) + b"\n"


def vectors(*texts: str) -> dict[str, FloatArray]:
    drawn = {text: np.random.default_rng(len(text)).random(3).astype(np.float32) for text in texts}
    return {text: vector / np.linalg.norm(vector) for text, vector in drawn.items()}


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = kept_vectors.place("model.1")
    assert found is not None
    return found


def test_they_come_back_as_they_were_and_only_those_asked_for(path: Path) -> None:
    kept_vectors.save(path, vectors("a", "bb", "日本"))
    kept_vectors.save(path, vectors("ccc"))
    found = kept_vectors.load(path, ["ccc", "日本", "unknown"], 3)
    assert found.keys() == {"ccc", "日本"}
    for text, vector in vectors("ccc", "日本").items():
        assert np.array_equal(found[text], vector)
    assert [one.name for one in path.parent.iterdir()] == ["model.1.npz"]


def test_what_was_used_last_is_kept_where_there_is_too_much(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_vectors, "LIMIT", 2)
    kept_vectors.save(path, vectors("a", "bb"))
    kept_vectors.save(path, vectors("ccc"))
    assert kept_vectors.load(path, ["a", "bb", "ccc"], 3).keys() == {"ccc", "a"}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04broken", b"\x93NUMPY", b"{}", ARRAY])
def test_a_file_that_is_none_costs_nothing(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert kept_vectors.load(path, ["a"], 3) == {}
    kept_vectors.save(path, vectors("a"))
    assert kept_vectors.load(path, ["a"], 3).keys() == {"a"}


def test_vectors_of_another_shape_are_given_up(path: Path) -> None:
    kept_vectors.save(path, vectors("a"))
    kept_vectors.save(path, {"bb": np.eye(5, dtype=np.float32)[0]})
    assert kept_vectors.load(path, ["a", "bb"], 5).keys() == {"bb"}
    assert kept_vectors.load(path, ["a", "bb"], 3) == {}


@pytest.mark.parametrize("odd", [np.nan, np.inf, 1e30, 0.5])
def test_vectors_that_no_encoder_makes_are_not_used(path: Path, odd: float) -> None:
    kept_vectors.save(path, {**vectors("a"), "bb": np.array([odd, 0, 0], dtype=np.float32)})
    assert kept_vectors.load(path, ["a"], 3) == {}
    kept_vectors.save(path, {**vectors("a"), "empty": np.zeros(3, dtype=np.float32)})
    assert kept_vectors.load(path, ["a", "empty"], 3).keys() == {"a", "empty"}


def test_a_file_that_was_damaged_costs_nothing(path: Path) -> None:
    """Readers of archives and arrays raise whatever they like: what they were seen to raise is no end of it."""
    kept_vectors.save(path, vectors("a", "bb"))
    whole = path.read_bytes()
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        found = kept_vectors.load(path, ["a", "bb"], 3)
        assert all(np.linalg.norm(vector) == pytest.approx(1.0, abs=0.02) for vector in found.values())


@pytest.mark.parametrize("keys", [np.array([[b"x"]], dtype="S32"), np.array(b"x", dtype="S32")])
def test_keys_of_another_shape_are_given_up(path: Path, keys: np.ndarray) -> None:
    path.parent.mkdir(parents=True)
    np.savez(path, keys=keys, vectors=np.eye(3, dtype=np.float32)[:1])
    assert kept_vectors.load(path, ["a"], 3) == {}


def test_a_place_that_cannot_be_written_costs_nothing(path: Path) -> None:
    path.parent.parent.mkdir()
    path.parent.write_text("a file where a folder should be")
    kept_vectors.save(path, vectors("a"))
    assert kept_vectors.load(path, ["a"], 3) == {}


def test_a_user_without_a_home_has_no_place_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(path: Path) -> Path:
        raise RuntimeError("no home")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "expanduser", homeless)
    found = kept_vectors.place("model.1")
    assert found is None
    kept_vectors.save(found, vectors("a"))
    assert kept_vectors.load(found, ["a"], 3) == {}


class Counting:
    name = "counting.1"
    dimensions = 3

    def __init__(self) -> None:
        self.seen: list[str] = []

    def encode(self, texts: Sequence[str]) -> FloatArray:
        self.seen += texts
        return np.stack([vectors(text)[text] for text in texts]) if texts else np.empty((0, 3), np.float32)


@pytest.mark.usefixtures("path")
def test_a_process_that_starts_again_encodes_nothing_twice(desk: tuple[Card, ...]) -> None:
    first, second = Counting(), Counting()
    decision = OfflineClassifier(first).classify("my tap leaks", desk)
    assert len(first.seen) > 20
    assert OfflineClassifier(second).classify("my tap leaks", desk) == decision
    assert second.seen == ["my tap leaks"]
    changed = [desk[0].model_copy(update={"examples": ("weed the garden",)}), *desk[1:]]
    third = Counting()
    OfflineClassifier(third).prepare(changed)
    assert third.seen == ["weed the garden"]
