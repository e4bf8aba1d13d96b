"""Pieces and songs stopped after so many bars, and gone on from."""

import json
from dataclasses import replace

import numpy as np
import pytest

import lstmusic
from lstmusic import provenance, reproduction
from lstmusic.errors import ConfigError
from lstmusic.events import codec as codecs
from lstmusic.sampling.controls import Controls
from lstmusic.sampling.snapshot import Origin, Snapshot
from lstmusic.score import Score, midi
from lstmusic.stopping import so_far

QUARTER = 480


@pytest.mark.parametrize("bars", [1, 2, 3])
def test_a_piece_is_cut_where_so_many_bars_are_over(codec, phrase, bars):
    """Four voices of quarters: 16 notes a bar, at 120 quarters a minute, which `performance` counts by, too."""
    ids = codec.encode(phrase(4)).astype(np.int64)
    cut, notes = so_far(codec, ids, bars), codec.decode(ids).notes
    codec.grammar.check(cut)
    so_many = codec.decode(cut).notes  # the last ones may be held on in the piece
    for column in ("onset_tick", "pitch"):
        assert so_many[column].tolist() == notes[column][notes["onset_tick"] < 4 * bars * QUARTER].tolist()
    after = codec.grammar.length(codec.grammar.trajectory(np.r_[cut, codec.grammar.bos()])[len(cut) :][:1])
    assert after[0] == pytest.approx(bars)
    assert after[1] == pytest.approx(2.0 * bars, rel=0.01)  # tempi lie on a grid


def test_all_of_a_piece_is_what_comes_before_its_ending(codec, phrase):
    ids = codec.encode(phrase(2)).astype(np.int64)
    assert so_far(codec, ids, None).tolist() == ids[: -codec.group_size].tolist()
    assert so_far(codec, ids[: -codec.group_size], None).tolist() == ids[: -codec.group_size].tolist()


@pytest.mark.parametrize("name", ["chorale", "melody", "metrical"])
def test_an_upbeat_does_not_count(name, score_of):
    """An upbeat of one quarter, two bars in 4/4, and three quarters that it completes to a bar."""
    notes = [(QUARTER * k, QUARTER, 60 + k % 7, 80, 0) for k in range(1 + 8 + 3)]
    codec = codecs.build(name)
    ids = codec.encode(score_of(notes, pickup=QUARTER)).astype(np.int64)
    for bars, quarters in ((1, 5), (2, 9), (3, 12)):
        assert len(codec.decode(so_far(codec, ids, bars)).notes) == quarters


@pytest.mark.parametrize("bars", [0, -1, 3, 1.5])
def test_a_piece_has_so_many_bars_or_not(codec, phrase, bars):
    with pytest.raises(ConfigError, match=rf"state.bar={bars}: expected 1 to 2, as many as there are"):
        so_far(codec, codec.encode(phrase(2)).astype(np.int64), bars)


def test_what_is_no_music_is_refused(steered_model):
    with pytest.raises(ConfigError, match=r"^snapshot: came as str, expected a Score, as Score.read gives it, or a"):
        steered_model.snapshot("x.mid")


def test_the_song_of_the_same_seed_and_number_goes_on_as_it_did(steered_model):
    how = {"seed": 5, "controls": Controls(key="C"), "temperature": 1.1}
    songs = steered_model.generate(3, length_bars=5, **how)
    start = steered_model.snapshot(songs[1], 2, "so far")
    assert start.origin == Origin(5, 2, songs[1].report["attempt"], len(start.ids) - 4)
    assert (start.name, start.checkpoint, start.encoding) == ("so far", steered_model.name, "chorale")
    again = steered_model.generate(3, length_bars=5 - start.bars, start=start, **how)
    assert again[1].ids.tolist() == songs[1].ids.tolist()
    assert again[1].nats.tolist() == songs[1].nats[-len(again[1].nats) :].tolist()
    assert again[1].report["start"] == {"name": "so far", "bars": round(start.bars, 3)}
    assert "start" not in songs[1].report
    for other in (again[0], again[2], *steered_model.generate(2, **how | {"seed": 6}, length_bars=3, start=start)):
        assert other.ids[: len(start.ids)].tolist() == start.ids.tolist()
        assert other.ids.tolist() != songs[1].ids.tolist()


def test_a_song_is_stopped_and_gone_on_with_twice(steered_model):
    (song,) = steered_model.generate(1, seed=3, length_bars=5, cadence=False)
    first = steered_model.snapshot(song, 1)
    (longer,) = steered_model.generate(1, seed=3, length_bars=5 - first.bars, cadence=False, start=first)
    second = steered_model.snapshot(longer, 3)
    assert second.origin.drawn == len(second.ids) - 4
    (again,) = steered_model.generate(1, seed=3, length_bars=5 - second.bars, cadence=False, start=second)
    assert again.ids.tolist() == longer.ids.tolist() == song.ids.tolist()
    # one that went another way is told by what it drew itself
    (other,) = steered_model.generate(1, seed=4, length_bars=2, start=first)
    assert steered_model.snapshot(other).origin.drawn == len(other.ids) - 4 - len(first.ids)


def test_what_a_song_was_given_is_heard(steered_model, phrase):
    primer = phrase(3)
    (song,) = steered_model.generate(1, primer=primer, length_bars=2)
    inside, of_piece = steered_model.snapshot(song, 2), steered_model.snapshot(primer, 2)
    assert inside.origin is None
    assert inside.ids.tolist() == of_piece.ids.tolist()
    for part, same in zip(inside.state, of_piece.state, strict=True):
        assert part.tolist() == same.tolist()
    beyond = steered_model.snapshot(song, 4)
    assert beyond.origin.drawn == len(beyond.ids) - len(steered_model.codec.encode(primer)) + 4


def test_a_song_of_another_model_is_refused(steered_model, steered_song):
    facts = json.loads(steered_song.score.texts[0][1]) | {"model_sha256": "0" * 64, "checkpoint": "other"}
    song = replace(steered_song, score=replace(steered_song.score, texts=((0, json.dumps(facts)),)))
    with pytest.raises(ConfigError, match="snapshot: the song is of the model other, expected one of "):
        steered_model.snapshot(song)


@pytest.fixture
def start(steered_model, phrase):
    """After two bars."""
    return steered_model.snapshot(phrase(3, seed=1), 2, "two bars")


def test_songs_hold_what_was_heard_or_only_what_is_new(steered_model, start, phrase):
    whole, new = (
        steered_model.generate(1, seed=2, start=start, length_bars=2, primer_in_output=kept)[0]
        for kept in (True, False)
    )
    assert whole.ids.tolist() == new.ids.tolist()
    assert (whole.report["bars"], new.report["bars"]) == (4, 2)
    given = phrase(3, seed=1).notes
    heard = 2 * 4 * 4
    assert whole.score.notes["pitch"][:heard].tolist() == given["pitch"][:heard].tolist()
    assert whole.report["new_notes"] == new.report["new_notes"] == len(new.score.notes)
    ticks = whole.score.bar_ticks()[2]
    later = whole.score.notes[whole.score.notes["onset_tick"] >= ticks]
    assert new.score.notes["onset_tick"].tolist() == (later["onset_tick"] - ticks).tolist()
    assert np.isnan(whole.surprise.note_nats[:heard]).all()
    assert np.isfinite(new.surprise.note_nats).all()


def test_songs_go_on_from_one_place(steered_model, start, phrase):
    with pytest.raises(ConfigError, match="start: came with a primer"):
        steered_model.generate(1, start=start, primer=phrase(1))
    with pytest.raises(ConfigError, match="start: taken with the model"):
        steered_model.generate(1, start=replace(start, model_sha256="0" * 64))


def test_a_song_from_a_snapshot_is_made_again_from_its_file(steered_model, start, tmp_path):
    other = steered_model.snapshot(steered_model.generate(1, seed=8, length_bars=2)[0])
    for k, snapshot in enumerate((start, start.blended(other, 0.3))):
        (song,) = steered_model.generate(1, seed=2, start=snapshot, length_bars=1)
        path = tmp_path / f"{k}.mid"
        midi.write(song.score, path)
        facts = provenance.facts_of(path)
        midi.write(reproduction.reproduce(facts, steered_model, Score.read(path)).score, tmp_path / "again.mid")
        assert (tmp_path / "again.mid").read_bytes() == path.read_bytes()
        told = reproduction.changed_settings(facts)["state.load"]
        assert told == ("two bars" if k == 0 else "0.3 of the way from two bars to another")


def test_other_programs_read_a_file_with_a_snapshot_in_it(steered_model, start, tmp_path):
    import mido
    import pretty_midi

    (song,) = steered_model.generate(1, seed=2, start=start, length_bars=1)
    midi.write(song.score, tmp_path / "song.mid")
    assert len(pretty_midi.PrettyMIDI(str(tmp_path / "song.mid")).instruments) == 4
    texts = [message.text for message in mido.MidiFile(tmp_path / "song.mid").tracks[0] if message.type == "text"]
    kept = Snapshot.of_json(json.loads(texts[0])["start"])
    assert [part.tobytes() for part in kept.state] == [part.tobytes() for part in start.state]


def test_a_damaged_start_in_a_provenance_is_refused(steered_model, start, written_song):
    damaged = start.to_json() | {"state": start.to_json()["state"] | {"sha256": "0"}}
    with pytest.raises(ConfigError, match=r"song=.*song.mid: its state is damaged"):
        provenance.facts_of(written_song(start=damaged))
    facts = provenance.facts_of(written_song(start=replace(start, ids=start.ids[[0, 1, 2, 3, 0, 0, 0, 0]]).to_json()))
    with pytest.raises(ConfigError, match="provenance: its start: its ids are not legal"):
        steered_model.regenerate(facts, Score.read(written_song()))


def test_the_face_hands_out_snapshots():
    assert lstmusic.Snapshot is Snapshot
