"""data=folk: every tune of music21's four collections is a piece, and reads as one."""

import pytest

from lstmusic.corpus import sources
from lstmusic.corpus.folk import COLLECTIONS, folk
from lstmusic.events import codec as codecs
from lstmusic.schema import DataConfig


@pytest.fixture(scope="module")
def source():
    """The corpus, found once."""
    return folk()


def test_every_tune_is_a_piece_of_its_own(source):
    count = {name: sum(ref.name.startswith(f"{name}/") for ref in source.pieces) for name in COLLECTIONS}
    expected = {"ryansMammoth": 1059, "oneills1850": 2009, "airdsAirs": 1180, "essenFolksong": 8514}
    assert count == expected  # as grep counts the lines that begin with X:
    assert len({ref.name for ref in source.pieces}) == len(source.pieces) == 12_762
    assert {ref.kind for ref in source.pieces} == {"abc"}
    assert sources.find(DataConfig(name="folk")) == source


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_tunes_of_each_collection_become_melodies(source, collection):
    codec = codecs.build("melody")
    mine = [ref for ref in source.pieces if ref.name.startswith(f"{collection}/")]
    for ref in mine[:: len(mine) // 3]:
        ids = codec.encode(sources.read_piece(ref))
        codec.grammar.check(ids)
        assert codec.num_notes(ids) >= 8
        assert codec.encode(codec.decode(ids)).tolist() == ids.tolist()


def test_a_tune_is_the_one_that_its_name_says(source):
    """O'Neill's number 1597 is in 2/2 with a pickup of a quarter, although music21 changes its meter near the end."""
    (ref,) = (ref for ref in source.pieces if ref.name == "oneills1850/1577-1624.abc#21")
    score = sources.read_piece(ref)
    assert score.meters.tolist() == [(0, 2, 2)]
    assert score.keys.tolist() == [(0, 7, False)]
    assert score.pickup_tick == 480
    assert score.notes["pitch"][:5].tolist() == [74, 72, 71, 74, 67]
