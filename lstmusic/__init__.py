"""lstmusic learns music from MIDI with recurrent networks and writes new songs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from lstmusic.music_model import MusicModel as MusicModel
    from lstmusic.music_model import Song as Song
    from lstmusic.music_model import load as load
    from lstmusic.score import Score as Score

__all__ = ["MusicModel", "Score", "Song", "__version__", "load"]


def __getattr__(name: str) -> Any:
    """Import a name where it is first used: `import lstmusic` stays quick."""
    if name == "Score":
        from lstmusic.score import Score

        return Score
    if name in ("MusicModel", "Song", "load"):
        from lstmusic import music_model

        return getattr(music_model, name)
    raise AttributeError(f"module 'lstmusic' has no attribute {name!r}")
