"""Which id strikes which note."""

import numpy as np
import pytest

from lstmusic.events import codec as codecs
from lstmusic.score.score import NOTE_DTYPE, Score, Track, sorted_notes, table

WITH_NOTE_IDS = {
    "chorale": {},
    "canonical": {"strikes": False},
    "melody": {},
    "metrical": {},
    "flat": {"grouped": False},
    "performance": {},
    "pedals": {"pedals": True},
}
ENCODING_OF = {"canonical": "chorale", "flat": "metrical", "pedals": "performance"}


@pytest.fixture(params=WITH_NOTE_IDS)
def codec_with_notes(request):
    """Every encoding in which one id strikes one note."""
    return codecs.build(ENCODING_OF.get(request.param, request.param), **WITH_NOTE_IDS[request.param])


def check(codec, ids):
    """Each note's own id says its pitch, at its onset."""
    places, notes = codec.note_ids(ids), codec.decode(ids).notes
    assert len(places) == len(notes) == len(set(places.tolist()))
    for kind in codec.note_kinds:
        here = codec.vocabulary.is_kind(kind, ids[places])
        assert codec.vocabulary.values(kind, ids[places][here]).tolist() == notes["pitch"][here].tolist()
    score = codec.decode(ids)
    at_s = codec.grammar.length(codec.grammar.trajectory(ids)[places])[1]
    np.testing.assert_allclose(at_s, score.seconds(notes["onset_tick"]), rtol=1e-5, atol=1e-6)
    return len(places)


@pytest.mark.parametrize("seed", range(5))
def test_each_note_has_its_id(codec_with_notes, random_walk, seed):
    ids = random_walk(codec_with_notes.grammar, np.random.default_rng(seed), 60)
    assert check(codec_with_notes, ids) > 0


def test_notes_inside_one_another_and_many_instruments():
    """Decoding puts them on tracks of their own, so that notes stand in another order than their ids."""
    rng = np.random.default_rng(0)
    columns = (480 * rng.integers(0, 8, 60), 120 * rng.integers(1, 30, 60), rng.integers(60, 64, 60), 80)
    tracks = (Track(40), Track(0), Track(0, True), Track(5))
    score = Score(sorted_notes(table(NOTE_DTYPE, *columns, rng.integers(0, 4, 60))), tracks)
    for grouped in (True, False):
        codec = codecs.build("metrical", grouped=grouped)
        ids = codec.encode(score)
        assert check(codec, ids) == 60
        assert codec.note_ids(ids).tolist() != sorted(codec.note_ids(ids).tolist())


def test_keys_that_stay_down_have_none():
    assert codecs.build("frames").note_ids(np.zeros(88, int)) is None
