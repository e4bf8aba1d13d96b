"""The libraries that lstmusic is measured beside."""

from __future__ import annotations

import importlib
from types import ModuleType

from lstmusic.errors import ConfigError


def peer(name: str) -> ModuleType:
    """Import a peer.

    Raises:
        ConfigError: it is not installed; the message says how to mend that.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(f"{name}: not installed; pip install 'lstmusic[bench]'") from error
