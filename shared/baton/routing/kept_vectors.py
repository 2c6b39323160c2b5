"""Vectors of cards' texts, kept on disk: a process that starts again need not encode what another has encoded.

In: texts and an encoder's name. Out: their vectors, to the bit as they were made. A cache: it may be deleted,
and what cannot be read or written costs time and nothing else.
"""

import contextlib
import hashlib
import logging
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from baton.routing.features import FloatArray

LIMIT = 20_000
"""Vectors that a file holds at most, those used last: 60 MB."""

logger = logging.getLogger("baton")


def place(name: str) -> Path | None:
    """Return the file for an encoder, by its name; None for a user without a home.

    Source:
        XDG Base Directory Specification: `$XDG_CACHE_HOME`, else `~/.cache`.
    """
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    except RuntimeError:
        return None
    return Path(home) / "baton" / f"{name}.npz"


def load(path: Path | None, texts: Iterable[str], dimensions: int) -> dict[str, FloatArray]:
    """Return the vectors that are known of `texts`, by text; none where the file cannot be read, or has others."""
    keys, vectors = _read(path)
    if vectors.shape[1] != dimensions:
        return {}
    rows = {key: row for row, key in enumerate(keys.tolist())}
    return {text: vectors[rows[key]] for text in texts if (key := _key(text)) in rows}


def save(path: Path | None, found: Mapping[str, FloatArray]) -> None:
    """Keep vectors, at least one, beside those kept before; nothing happens where the file cannot be written."""
    if path is None:
        return
    keys, vectors = _read(path)
    new_keys = np.array([_key(text) for text in found], dtype="S32")
    new = np.stack(list(found.values()))
    if len(keys) and vectors.shape[1] == new.shape[1]:
        others = ~np.isin(keys, new_keys)
        new_keys, new = np.concatenate((new_keys, keys[others])), np.concatenate((new, vectors[others]))
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written aside and renamed, so that whoever reads at the time has the old file or the new one.
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npz", delete=False) as file:
            np.savez(file, keys=new_keys[:LIMIT], vectors=new[:LIMIT])
        Path(file.name).replace(path)


def _read(path: Path | None) -> tuple[npt.NDArray[np.bytes_], FloatArray]:
    nothing = np.empty(0, dtype="S32"), np.empty((0, 0), dtype=np.float32)
    if path is None:
        return nothing
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            keys, vectors = stored["keys"], stored["vectors"]
    except FileNotFoundError:
        return nothing
    except Exception as error:  # a damaged file can raise whatever its readers do
        logger.info("vectors kept in %s are not used: %s: %s", path, type(error).__name__, error)
        return nothing
    fits = keys.dtype == np.dtype("S32") and vectors.dtype == np.float32 and (keys.ndim, vectors.ndim) == (1, 2)
    return (keys, vectors) if fits and len(keys) == len(vectors) and _are_vectors(vectors) else nothing


def _are_vectors(found: FloatArray) -> bool:
    """Return True where each row has the length of an encoder's vector: 1, or 0."""
    with np.errstate(all="ignore"):
        lengths = np.sqrt(np.square(found).sum(axis=1))
    return bool(np.all((np.abs(lengths - 1.0) < 0.01) | (lengths == 0.0)))


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32].encode()
