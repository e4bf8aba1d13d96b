"""What a song says it was made by, read and checked; the song made again; what differs, in words."""

import json
from dataclasses import replace

import numpy as np
import pytest

import lstmusic
from lstmusic import config, provenance, reproduction
from lstmusic.errors import ConfigError, MissingFileError, ReadError
from lstmusic.events import codec as codecs
from lstmusic.sampling.controls import Controls
from lstmusic.sampling.settings import Repetition
from lstmusic.score import Score, midi
from lstmusic.score.score import KEY_DTYPE, TEMPO_DTYPE, Track, table
from lstmusic.training import checkpoint

SIZES = {"hidden_size": 12, "embedding_size": 8, "num_layers": 1}
STEERED = {
    "temperature": ((0.0, 0.8), (1.0, 1.2)),
    "top_k": 20,
    "pitch_temperature": 0.9,
    "controls": Controls(key="D dorian", key_weight=2.5, ranges={"Soprano": (60, 79), "all": (40, 70)}, polyphony=3),
    "repetition": Repetition(break_loops=False),
    "length_bars": 2,
    "cadence": False,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    place, codec = tmp_path_factory.mktemp("here") / "model", codecs.build("chorale")
    network = checkpoint.build_model(codec, SIZES)
    checkpoint.save(place, network, codec, sizes=SIZES, facts={}, split={}, card="A card.\n")
    return lstmusic.load(place)


@pytest.fixture(scope="module")
def song(model):
    """Song 3 of seed 5, steered."""
    return model.generate(3, seed=5, **STEERED)[2]


@pytest.fixture
def written(song, tmp_path):
    """A function: that song in a file, with some facts of its provenance changed, or another text instead."""

    def write(text=None, **changes):
        facts = {**json.loads(song.score.texts[0][1]), **changes}
        midi.write(replace(song.score, texts=((0, text or json.dumps(facts)),)), tmp_path / "song.mid")
        return tmp_path / "song.mid"

    return write


def test_facts_are_what_was_asked(written, model):
    facts = provenance.facts_of(written())
    assert (facts["seed"], facts["song"], facts["attempt"]) == (5, 3, 0)
    assert (facts["lstmusic"], facts["model_sha256"]) == (lstmusic.__version__, model.folder.sha256)
    assert reproduction.changed_settings(facts) == {
        "temperature": [[0.0, 0.8], [1.0, 1.2]],
        "sampling.top_k": 20,
        "sampling.pitch_temperature": 0.9,
        "length.bars": 2,
        "length.cadence": False,
        "control.key": "D dorian",
        "control.key_weight": 2.5,
        "control.range": {"Soprano": [60, 79], "all": [40, 70]},
        "control.polyphony": 3,
        "repetition.break_loops": False,
    }


def test_settings_are_told_by_the_keys_that_are_typed(written):
    facts = provenance.facts_of(written())
    changes = {
        "sampling": {**facts["sampling"], "greedy": True},
        "control": {**facts["control"], "ranges": {"all": [40, 70]}},
    }
    changed = reproduction.changed_settings({**facts, **changes})
    assert (changed["greedy"], changed["control.range"]) == (True, [40, 70])
    keys = set(config.compose("generate", []).config.__dict__)
    assert {key.split(".")[0] for key in changed} <= keys


def test_a_song_made_again_is_the_same_file(written, model, tmp_path):
    path = written()
    again = reproduction.reproduce(provenance.facts_of(path), model)
    midi.write(again.score, tmp_path / "again.mid")
    assert (tmp_path / "again.mid").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("encoding", ["performance", "melody", "metrical", "frames"])
def test_songs_of_every_encoding(encoding, tmp_path):
    sizes, codec = {**SIZES, **({"output": "joint"} if encoding == "frames" else {})}, codecs.build(encoding)
    network = checkpoint.build_model(codec, sizes)
    checkpoint.save(tmp_path / "model", network, codec, sizes=sizes, facts={}, split={}, card="A card.\n")
    model = lstmusic.load(tmp_path / "model")
    (song,) = model.generate(1, seed=2, length_bars=1)
    midi.write(song.score, tmp_path / "song.mid")
    facts = provenance.facts_of(tmp_path / "song.mid")
    assert provenance.fingerprint(Score.read(tmp_path / "song.mid")) == facts["music_sha256"]
    midi.write(reproduction.reproduce(facts, model).score, tmp_path / "again.mid")
    assert (tmp_path / "again.mid").read_bytes() == (tmp_path / "song.mid").read_bytes()


def test_where_the_model_lies_does_not_count(written, model, tmp_path):
    path = written()
    moved = lstmusic.music_model.MusicModel(model.folder, name="elsewhere")
    midi.write(reproduction.reproduce(provenance.facts_of(path), moved).score, tmp_path / "again.mid")
    assert (tmp_path / "again.mid").read_bytes() == path.read_bytes()


def test_another_model_is_refused(written, model):
    facts = provenance.facts_of(written(model_sha256="0" * 64))
    with pytest.raises(ConfigError, match=f"its weights {model.folder.sha256[:12]}…, expected 000000000000…"):
        reproduction.reproduce(facts, model)


def test_the_primer_is_inside(model, phrase, tmp_path):
    for inside in (True, False):
        (song,) = model.generate(1, seed=1, length_bars=1, primer=phrase(2), primer_in_output=inside)
        midi.write(song.score, tmp_path / "song.mid")
        facts = provenance.facts_of(tmp_path / "song.mid")
        assert "primer" in reproduction.changed_settings(facts)
        midi.write(reproduction.reproduce(facts, model).score, tmp_path / "again.mid")
        assert (tmp_path / "again.mid").read_bytes() == (tmp_path / "song.mid").read_bytes()


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
def test_a_provenance_that_cannot_be_followed_is_refused(case, written):
    changes, kind, words = DAMAGED[case]
    path = written(**changes)
    with pytest.raises(kind) as raised:
        provenance.facts_of(path)
    assert str(raised.value).startswith(f"song={path}: ")
    assert words in str(raised.value)
    assert f"written by lstmusic {lstmusic.__version__}, this is {lstmusic.__version__}" in str(raised.value)


def test_a_provenance_that_lacks_something_is_refused(written, song):
    facts = json.loads(song.score.texts[0][1])
    for name in set(facts) - {"lstmusic"}:
        path = written(text=json.dumps({key: value for key, value in facts.items() if key != name}))
        with pytest.raises(ConfigError, match=name):
            provenance.facts_of(path)


def test_a_torn_provenance_is_refused(written, song):
    path = written(text=song.score.texts[0][1][:-20])
    with pytest.raises(ReadError, match=r"song=.*song.mid: its provenance is torn \(.*\), expected a MIDI file"):
        provenance.facts_of(path)


@pytest.mark.parametrize("text", ["hello", '{"other": 3}'])
def test_a_file_without_provenance_is_refused(written, text):
    with pytest.raises(ReadError, match="no provenance of lstmusic in it, expected a MIDI file that lstmusic generate"):
        provenance.facts_of(written(text=text))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(MissingFileError, match=r"song=.*nowhere.mid: no such file"):
        provenance.facts_of(tmp_path / "nowhere.mid")


def test_the_fingerprint_is_of_the_music_as_it_is_read(song, tmp_path):
    midi.write(song.score, tmp_path / "song.mid")
    read = Score.read(tmp_path / "song.mid")
    assert provenance.fingerprint(read) == provenance.fingerprint(song.score)
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
def test_the_fingerprint_tells_every_change(song, change):
    score = song.score.canonical()
    assert provenance.fingerprint(change(score)) != provenance.fingerprint(score)


def test_music_that_was_changed_is_told_from_another_machine(written, song):
    facts = provenance.facts_of(written())
    score = song.score.canonical()
    other = {**facts, "machine": {**facts["machine"], "torch": "1.0", "gone": 3}, "lstmusic": "0.0.1"}
    lines_before = int(np.searchsorted(score.bar_ticks(), score.notes["onset_tick"][-1], side="right"))
    last = lines_before - (score.pickup_tick > 0)  # an upbeat is bar 0
    assert reproduction.differences(facts, score, score) == [
        "its music is the same; another program wrote the file, or a text in it was changed"
    ]
    (edited,) = reproduction.differences(other, louder(score), score)
    assert edited.startswith(f"the music in it differs from what it says it was made by, first at bar {last}: ")
    lines = reproduction.differences(other, score, louder(score))
    assert lines[0] == f"lstmusic 0.0.1 then, {lstmusic.__version__} now"
    assert lines[1].startswith("torch 1.0 then, 2.")
    assert lines[2] == "gone 3 then, None now"
    assert lines[3].startswith(f"other music comes out here, first at bar {last}: ")
    assert len(lines) == 4
