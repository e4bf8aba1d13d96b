"""A song made again from what it says it was made by; what differs, in words."""

from dataclasses import replace

import numpy as np
import pytest

import lstmusic
from lstmusic import config, provenance, reproduction
from lstmusic.errors import ConfigError
from lstmusic.events import codec as codecs
from lstmusic.score import Score, midi
from lstmusic.training import checkpoint

SIZES = {"hidden_size": 12, "embedding_size": 8, "num_layers": 1}


def test_facts_are_what_was_asked(written_song, steered_model):
    facts = provenance.facts_of(written_song())
    assert (facts["seed"], facts["song"], facts["attempt"]) == (5, 3, 0)
    assert (facts["lstmusic"], facts["model_sha256"]) == (lstmusic.__version__, steered_model.folder.sha256)
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


def test_settings_are_told_by_the_keys_that_are_typed(written_song):
    facts = provenance.facts_of(written_song())
    changes = {
        "sampling": {**facts["sampling"], "greedy": True},
        "control": {**facts["control"], "ranges": {"all": [40, 70]}},
    }
    changed = reproduction.changed_settings({**facts, **changes})
    assert (changed["greedy"], changed["control.range"]) == (True, [40, 70])
    keys = set(config.compose("generate", []).config.__dict__)
    assert {key.split(".")[0] for key in changed} <= keys


def test_a_song_made_again_is_the_same_file(written_song, steered_model, tmp_path):
    path = written_song()
    again = reproduction.reproduce(provenance.facts_of(path), steered_model, Score.read(path))
    midi.write(again.score, tmp_path / "again.mid")
    assert (tmp_path / "again.mid").read_bytes() == path.read_bytes()


def test_a_song_of_before_there_was_a_control_is_made_again(written_song, steered_model, tmp_path):
    facts = provenance.facts_of(written_song())
    path = written_song(control={name: value for name, value in facts["control"].items() if name != "parallels"})
    older = provenance.facts_of(path)
    assert "control.parallels" not in reproduction.changed_settings(older)
    midi.write(reproduction.reproduce(older, steered_model, Score.read(path)).score, tmp_path / "again.mid")
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
    midi.write(reproduction.reproduce(facts, model, song.score).score, tmp_path / "again.mid")
    assert (tmp_path / "again.mid").read_bytes() == (tmp_path / "song.mid").read_bytes()


def test_where_the_model_lies_does_not_count(written_song, steered_model, tmp_path):
    path = written_song()
    moved = lstmusic.music_model.MusicModel(steered_model.folder, name="elsewhere")
    midi.write(reproduction.reproduce(provenance.facts_of(path), moved, Score.read(path)).score, tmp_path / "again.mid")
    assert (tmp_path / "again.mid").read_bytes() == path.read_bytes()


def test_another_model_is_refused(written_song, steered_model):
    facts = provenance.facts_of(written_song(model_sha256="0" * 64))
    with pytest.raises(ConfigError, match=f"its weights {steered_model.folder.sha256[:12]}…, expected 000000000000…"):
        reproduction.reproduce(facts, steered_model, Score.read(written_song()))


def test_the_primer_is_inside(steered_model, phrase, tmp_path):
    for inside in (True, False):
        (song,) = steered_model.generate(1, seed=1, length_bars=1, primer=phrase(2), primer_in_output=inside)
        midi.write(song.score, tmp_path / "song.mid")
        facts = provenance.facts_of(tmp_path / "song.mid")
        assert "primer" in reproduction.changed_settings(facts)
        midi.write(reproduction.reproduce(facts, steered_model, song.score).score, tmp_path / "again.mid")
        assert (tmp_path / "again.mid").read_bytes() == (tmp_path / "song.mid").read_bytes()


def louder(score):
    notes = score.notes.copy()
    notes["velocity"][-1] += 1
    return replace(score, notes=notes)


def test_music_that_was_changed_is_told_from_another_machine(written_song, steered_song):
    facts = provenance.facts_of(written_song())
    score = steered_song.score.canonical()
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
