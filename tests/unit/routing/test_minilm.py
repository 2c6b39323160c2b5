"""The encoder: the same vector for a text whoever its neighbours are, and no model but the one that is meant."""

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import baton
from baton.routing import minilm
from baton.routing.minilm import DIMENSIONS, EncoderMissingError, MiniLM, encoder
from baton.routing.training_set import background

ENDS_MEANWHILE = """
import itertools
import threading
from baton.routing.minilm import MiniLM

model, has_begun = MiniLM(), threading.Event()

def encode():
    for number in itertools.count():
        model.encode([f"card {number} {one}" for one in range(8)])
        has_begun.set()

threading.Thread(target=encode, daemon=True).start()
has_begun.wait()
"""
READABLE = ("i lost my card", "ok", "grüße aus köln", "card 🙂", "x " * 5_000, "lost \ud800 card", "a\0card")
UNREADABLE = ("", " ", "日本語", "שלום עולם", "مرحبا", "🙂🙂", "привет мир", "\0")


@pytest.fixture(scope="module")
def model() -> MiniLM:
    return MiniLM()


def test_vectors_are_of_unit_length(model: MiniLM) -> None:
    vectors = model.encode(READABLE)
    assert vectors.shape == (len(READABLE), DIMENSIONS)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-4)


def test_two_layers_have_their_say_the_second_less_what_all_texts_share(model: MiniLM) -> None:
    vectors = model.encode(background())
    last, before = vectors[:, : DIMENSIONS // 2], vectors[:, DIMENSIONS // 2 :]
    assert np.square(last).sum(axis=1) == pytest.approx(0.75, abs=1e-4)
    assert np.square(before).sum(axis=1) == pytest.approx(0.25, abs=1e-4)
    alike = before @ before.T / 0.25
    assert alike[~np.eye(len(alike), dtype=bool)].mean() < 0.25


def test_a_text_that_it_cannot_read_has_no_vector(model: MiniLM) -> None:
    assert not model.encode(UNREADABLE).any()
    assert model.encode([]).shape == (0, DIMENSIONS)


def test_few_vectors_are_kept_and_those_used_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "KEPT_VECTORS", 2)
    model = MiniLM()
    for text in ("one", "two", "one", "three"):
        model.encode([text, text])
    assert list(model._kept) == ["one", "three"]


def test_meaning_is_told_apart_from_words(model: MiniLM) -> None:
    lost, gone, rate = model.encode(["i lost my card", "my plastic went missing", "what is the exchange rate"])
    assert lost @ gone > 0.3 > lost @ rate


def test_a_vector_does_not_depend_on_its_neighbours(model: MiniLM) -> None:
    together, alone = model.encode([*READABLE, *UNREADABLE]), MiniLM()
    for vector, text in zip(together, [*READABLE, *UNREADABLE], strict=True):
        assert alone.encode([text])[0] == pytest.approx(vector, abs=1e-6)


def broken(*_: object) -> None:
    raise ImportError("libstdc++.so.6: version not found")


@pytest.fixture
def _anew(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder.cache_clear()
    yield
    encoder.cache_clear()


@pytest.mark.usefixtures("_anew")
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            ("_NEEDED", ("onnxruntime", "no_such_package")),
            "not installed: no-such-package; pip install 'baton-handoff[embed]'",
        ),
        (("SHA256", "0" * 64), "was changed: its sha256 is 8199be6f"),
        (("PACKAGE", "baton"), "the model cannot be read: "),
        (("PACKAGE", "tests.unit.routing.broken"), "the model cannot be read: broken as it is imported"),
        (("_session", broken), "the model cannot be loaded: ImportError: libstdc"),
        (("_tokenizer", broken), "the model cannot be loaded: ImportError: libstdc"),
    ],
)
def test_without_the_model_that_is_meant_words_alone_decide_which_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, change: tuple[str, object], told: str
) -> None:
    monkeypatch.setattr(minilm, *change)
    with pytest.raises(EncoderMissingError, match=told.replace("[", r"\[")):
        MiniLM()
    with caplog.at_level(logging.WARNING):
        assert encoder() is None
        assert encoder() is None
    assert [told in record.getMessage() for record in caplog.records] == [True]


def test_the_vocabulary_has_its_licence_beside_it() -> None:
    folder = Path(minilm.__file__).parent / "vocabulary"
    assert "Apache License" in (folder / "LICENSE").read_text(encoding="utf-8")
    assert len((folder / "bert_uncased.txt").read_text(encoding="utf-8").splitlines()) == 30_522


def test_a_process_may_end_while_a_thread_encodes() -> None:
    path = str(Path(baton.__file__).parents[1])
    command = [sys.executable, "-c", ENDS_MEANWHILE]
    done = subprocess.run(command, env={"PYTHONPATH": path}, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
