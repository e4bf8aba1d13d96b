"""A folder of MIDI as people have them."""

import numpy as np
import pytest

from lstmusic.score import midi


@pytest.fixture
def midi_folder(tmp_path, phrase):
    """A function: a folder with so many good MIDI files, one of them in a folder of its own."""

    def build(good: int = 3):
        folder = tmp_path / "music"
        (folder / "inner").mkdir(parents=True)
        for k in range(good):
            midi.write(phrase(seed=k), folder / ("inner" if k == 0 else ".") / f"song {k}.mid")
        return folder

    return build


@pytest.fixture
def pieces_of(phrase):
    """A function: eleven pieces of different lengths in an encoding."""

    def build(codec) -> list[np.ndarray]:
        return [codec.encode(phrase(1 + k % 3, seed=k)) for k in range(11)]

    return build
