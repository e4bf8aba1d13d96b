"""What a song says it was made by: read and checked; the fingerprint of its music."""

import json
from dataclasses import replace

import pytest

import lstmusic
from lstmusic import provenance
from lstmusic.errors import ConfigError, MissingFileError, ReadError
from lstmusic.score import Score, midi
from lstmusic.score.score import KEY_DTYPE, TEMPO_DTYPE, Track, table

DAMAGED = {
    "a later setting": ({"sampling": {"warmth": 3}}, ConfigError, "sampling.warmth is not known here"),
    "a later fact": ({"weather": "fine"}, ConfigError, "provenance: weather is not known here"),
    "a fact of another kind": ({"seed": "5"}, ConfigError, "provenance: seed is '5', expected int"),
    "a truth value for a number": ({"song": True}, ConfigError, "provenance: song is True, expected int"),
    "a song that cannot be": ({"song": 0}, ConfigError, "provenance: song is 0, expected at least 1"),
    "a setting out of range": ({"sampling": {"top_p": 7}}, ConfigError, "sampling.top_p=7: expected 0 < top_p"),
    "a setting of another kind": ({"sampling": {"top_k": "many"}}, ConfigError, "provenance: "),
    "a damaged primer": ({"primer": {"sha256": "0", "ids": "%%"}}, ConfigError, "primer's ids are damaged"),
    "another primer": ({"primer": {"sha256": "0", "ids": "eJxjYAAAAAIAAQ=="}}, ConfigError, "primer's ids are damaged"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_provenance_that_cannot_be_followed_is_refused(case, written_song):
    changes, kind, words = DAMAGED[case]
    path = written_song(**changes)
    with pytest.raises(kind) as raised:
        provenance.facts_of(path)
    assert str(raised.value).startswith(f"song={path}: ")
    assert words in str(raised.value)
    assert f"written by lstmusic {lstmusic.__version__}, this is {lstmusic.__version__}" in str(raised.value)


def test_a_provenance_that_lacks_something_is_refused(written_song, steered_song):
    facts = json.loads(steered_song.score.texts[0][1])
    for name in set(facts) - {"lstmusic"}:
        path = written_song(text=json.dumps({key: value for key, value in facts.items() if key != name}))
        with pytest.raises(ConfigError, match=name):
            provenance.facts_of(path)


def test_a_torn_provenance_is_refused(written_song, steered_song):
    path = written_song(text=steered_song.score.texts[0][1][:-20])
    with pytest.raises(ReadError, match=r"song=.*song.mid: its provenance is torn \(.*\), expected a MIDI file"):
        provenance.facts_of(path)


@pytest.mark.parametrize("text", ["hello", '{"other": 3}'])
def test_a_file_without_provenance_is_refused(written_song, text):
    with pytest.raises(ReadError, match="no provenance of lstmusic in it, expected a MIDI file that lstmusic generate"):
        provenance.facts_of(written_song(text=text))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(MissingFileError, match=r"song=.*nowhere.mid: no such file"):
        provenance.facts_of(tmp_path / "nowhere.mid")


def test_the_fingerprint_is_of_the_music_as_it_is_read(steered_song, tmp_path):
    midi.write(steered_song.score, tmp_path / "song.mid")
    read = Score.read(tmp_path / "song.mid")
    assert provenance.fingerprint(read) == provenance.fingerprint(steered_song.score)
    assert provenance.fingerprint(replace(read, texts=())) == provenance.fingerprint(read)


def louder(score):
    notes = score.notes.copy()
    notes["velocity"][-1] += 1
    return replace(score, notes=notes)


@pytest.mark.parametrize(
    "change",
    [
        louder,
        lambda score: replace(score, notes=score.notes[1:]),
        lambda score: replace(score, tempi=table(TEMPO_DTYPE, [0], [123_456])),
        lambda score: replace(score, keys=table(KEY_DTYPE, [0], [3], [True])),
        lambda score: replace(score, ticks_per_quarter=2 * score.ticks_per_quarter),
        lambda score: replace(score, tracks=(Track(3, False, "Kazoo"), *score.tracks[1:])),
    ],
)
def test_the_fingerprint_tells_every_change(steered_song, change):
    score = steered_song.score.canonical()
    assert provenance.fingerprint(change(score)) != provenance.fingerprint(score)
