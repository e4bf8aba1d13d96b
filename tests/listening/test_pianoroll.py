"""Pictures: notes where they belong, in their voice's colour, for any length of song."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lstmusic.errors import OutputError
from lstmusic.listening import palette, pianoroll
from lstmusic.score.score import NOTE_DTYPE, Score, Track


def pixel_of(image, score, tick, pitch):
    """The colour at a tick in the middle of a pitch's row."""
    _, high = palette.pitch_range(score)
    width = image.size[0] / pianoroll.SCALE - pianoroll.LEFT - pianoroll.RIGHT
    x = pianoroll.LEFT + width * tick / int(score.bar_ticks()[-1])
    y = pianoroll.TOP + (high - pitch + 0.5) * pianoroll.POINTS_PER_SEMITONE
    return np.array(image.getpixel((int(x * pianoroll.SCALE), int(y * pianoroll.SCALE))), float)


def test_each_note_shows_in_the_colour_of_its_voice(chorale):
    score = chorale(4)
    image = pianoroll.picture(score, "")
    for note in score.notes:
        found = pixel_of(image, score, int(note["onset_tick"]) + 200, int(note["pitch"]))
        wanted = np.array(tuple(bytes.fromhex(palette.colour_of(int(note["track"]))[1:])))
        assert np.abs(found - wanted).max() < 110 and np.argmin(found) == np.argmin(wanted)
    assert pixel_of(image, score, 200, 50).min() > 225  # nothing sounds there


def test_louder_is_darker(melody):
    score = melody([(0, 480, 60, 20), (480, 480, 60, 120)])
    image = pianoroll.picture(score, "")
    assert pixel_of(image, score, 240, 60).sum() > pixel_of(image, score, 720, 60).sum() + 60


def test_width_follows_length_within_limits(chorale):
    one, many = (pianoroll.picture(chorale(bars), "").size[0] for bars in (1, 40))
    assert one < many <= (pianoroll.WIDEST + pianoroll.LEFT + pianoroll.RIGHT) * pianoroll.SCALE
    assert pianoroll.picture(chorale(600), "").size[0] <= 2 * (pianoroll.WIDEST + 100)


def test_odd_scores_are_drawn(chorale, melody, tmp_path):
    empty = Score(np.zeros(0, NOTE_DTYPE), (Track(),))
    edges = melody([(0, 1, 0, 1), (1, 1, 127, 127)])
    crowd = replace(chorale(2), tracks=tuple(Track(0, False, "an instrument of long name " * 3) for _ in range(4)))
    for number, score in enumerate((empty, edges, crowd, replace(chorale(2), pickup_tick=480))):
        path = pianoroll.draw(score, tmp_path / f"{number}.png", title="a title as long as a sentence " * 9)
        assert Image.open(path).format == "PNG"
    assert len(list(tmp_path.iterdir())) == 4


def test_what_cannot_be_written(chorale, tmp_path):
    with pytest.raises(OutputError, match="nowhere"):
        pianoroll.draw(chorale(1), tmp_path / "nowhere" / "song.png")
