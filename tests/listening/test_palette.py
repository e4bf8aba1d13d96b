"""How pitches are written."""

import pytest

from lstmusic.listening.palette import pitch_name


@pytest.mark.parametrize(("pitch", "name"), [(60, "C4"), (61, "C♯4"), (70, "B♭4"), (71, "B4"), (0, "C-1"), (127, "G9")])
def test_a_pitch_is_written_with_its_octave(pitch, name):
    assert pitch_name(pitch) == name
