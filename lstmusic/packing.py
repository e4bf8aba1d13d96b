"""Arrays of ids as text that fits into JSON, and back."""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Mapping

import numpy as np

from lstmusic.errors import ConfigError

MAX_BYTES = 2**25  # what packed ids may unfold to


def pack(ids: np.ndarray) -> dict[str, str]:
    """Ids as values that JSON takes: their checksum, and base64 of deflated 16-bit numbers."""
    packed = base64.b64encode(zlib.compress(np.asarray(ids).astype("<u2").tobytes(), 9)).decode()
    return {"sha256": _sha256(ids), "ids": packed}


def unpack(values: Mapping[str, str], name: str) -> np.ndarray:
    """The ids of `pack`, int64 [N].

    Args:
        name: what they are, for the error.

    Raises:
        ConfigError: they are damaged.
    """
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(values["ids"], validate=True), MAX_BYTES)
        ids = np.frombuffer(data, "<u2").astype(np.int64)
    except (zlib.error, binascii.Error, ValueError) as error:
        raise ConfigError(f"{name}'s ids are damaged, expected what lstmusic wrote") from error
    if _sha256(ids) != values["sha256"]:
        raise ConfigError(f"{name}'s ids are damaged, expected those of its sha256")
    return ids


def _sha256(ids: np.ndarray) -> str:
    return hashlib.sha256(np.asarray(ids, np.int64).tobytes()).hexdigest()
