"""What a reader mended and what it left out: nothing is silent."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Remarks:
    """Gathered while a file is read.

    Attributes:
        repairs: damage that was mended, by kind; the music stands.
        losses: what a Score cannot hold, by kind.
    """

    repairs: Counter = field(default_factory=Counter)
    losses: Counter = field(default_factory=Counter)
