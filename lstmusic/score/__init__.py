"""What music is: the Score, and its files."""

from lstmusic.score.score import Score, Track

__all__ = ["Score", "Track"]
