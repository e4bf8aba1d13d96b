"""lstmusic learns music from MIDI with recurrent networks and writes new songs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from lstmusic.infilling import Infill as Infill
    from lstmusic.music_model import MusicModel as MusicModel
    from lstmusic.music_model import load as load
    from lstmusic.sampling.controls import Controls as Controls
    from lstmusic.sampling.settings import Repetition as Repetition
    from lstmusic.sampling.snapshot import Snapshot as Snapshot
    from lstmusic.score import Score as Score
    from lstmusic.writing import Song as Song

__all__ = ["Controls", "Infill", "MusicModel", "Repetition", "Score", "Snapshot", "Song", "__version__", "load"]
HOMES = {
    **dict.fromkeys(("MusicModel", "load"), "lstmusic.music_model"),
    "Controls": "lstmusic.sampling.controls",
    "Infill": "lstmusic.infilling",
    "Repetition": "lstmusic.sampling.settings",
    "Score": "lstmusic.score",
    "Snapshot": "lstmusic.sampling.snapshot",
    "Song": "lstmusic.writing",
}


def __getattr__(name: str) -> Any:
    """Import a name where it is first used: `import lstmusic` stays quick."""
    if name not in HOMES:
        raise AttributeError(f"module 'lstmusic' has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)
