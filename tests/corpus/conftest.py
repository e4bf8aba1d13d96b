"""A folder of MIDI as people have them."""

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
