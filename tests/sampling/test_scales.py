"""Keys by the names that musicians write."""

import numpy as np
import pytest

from lstmusic.errors import ConfigError
from lstmusic.sampling.scales import SCALES, key_of

C_MAJOR = (0, 2, 4, 5, 7, 9, 11)


@pytest.mark.parametrize(
    ("text", "pitch_classes", "number"),
    [
        ("C", C_MAJOR, 0),
        (" c  MAJOR ", C_MAJOR, 0),
        ("a", (0, 2, 4, 5, 7, 8, 9, 11), 21),  # with G and G sharp
        ("A minor", (0, 2, 4, 5, 7, 8, 9, 11), 21),
        ("F# minor", (1, 2, 4, 5, 6, 8, 9, 11), 18),
        ("Bb", (0, 2, 3, 5, 7, 9, 10), 10),
        ("B♭ major", (0, 2, 3, 5, 7, 9, 10), 10),
        ("bb", (0, 1, 3, 5, 6, 8, 9, 10), 22),
        ("b", (1, 2, 4, 6, 7, 9, 10, 11), 23),
        ("Cb", (1, 3, 4, 6, 8, 10, 11), 11),
        ("a natural minor", C_MAJOR, None),
        ("A harmonic minor", (0, 2, 4, 5, 8, 9, 11), None),
        ("A melodic minor", (0, 2, 4, 6, 8, 9, 11), None),
        ("D dorian", C_MAJOR, None),
        ("C pentatonic", (0, 2, 4, 7, 9), None),
        ("a minor pentatonic", (0, 2, 4, 7, 9), None),
        ("C blues", (0, 3, 5, 6, 7, 10), None),
        ("C# whole tone", (1, 3, 5, 7, 9, 11), None),
        ("0,2,4,7,9", (0, 2, 4, 7, 9), None),
        ("9, 0 ,9", (0, 9), None),
    ],
)
def test_a_key_by_its_name(text, pitch_classes, number):
    assert key_of(text) == (pitch_classes, number)


def test_the_modes_are_c_major_from_each_of_its_degrees():
    modes = ("ionian", "dorian", "phrygian", "lydian", "mixolydian", "aeolian", "locrian")
    assert {key_of(f"{tonic} {mode}").pitch_classes for tonic, mode in zip("CDEFGAB", modes, strict=True)} == {C_MAJOR}


def test_every_scale_holds_its_tonic():
    assert all(key_of(f"F# {scale}").holds(np.array([66])).all() for scale in SCALES)


def test_pitches_of_every_octave_belong_to_a_key():
    assert key_of("G").holds(np.array([0, 43, 54, 65, 127])).tolist() == [True, True, True, False, True]


@pytest.mark.parametrize("text", ["", "H", "C sharp", "major", "Am7", "C###", "0,2;4", "-1"])
def test_what_is_no_key_is_said_with_examples(text):
    with pytest.raises(ConfigError, match=r"^control\.key=.*expected"):
        key_of(text)


def test_a_wrong_scale_or_pitch_class_is_told_what_there_is():
    with pytest.raises(ConfigError, match="no scale 'klezmer', expected one of major, minor"):
        key_of("D klezmer")
    with pytest.raises(ConfigError, match=r"key=0,12: expected pitch classes from 0 \(C\) to 11"):
        key_of("0,12")
