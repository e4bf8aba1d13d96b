"""MusicModel: what `lstmusic.load` returns, on tiny models of both encodings."""

import json

import numpy as np
import pytest

import lstmusic
from lstmusic import music_model, writing
from lstmusic.errors import CheckpointError, ConfigError, GenerationError, IllegalSequenceError, ReadError
from lstmusic.events import codec as codecs
from lstmusic.sampling.controls import Controls
from lstmusic.score import Score, midi
from lstmusic.score.score import NOTE_DTYPE, Track
from lstmusic.training import checkpoint

SIZES = {"hidden_size": 16, "embedding_size": 8, "num_layers": 2}


@pytest.fixture(params=["chorale", "performance"])
def folder(request, tmp_path):
    """A model folder with random weights."""
    codec = codecs.build(request.param)
    place = tmp_path / "model"
    checkpoint.save(
        place, checkpoint.build_model(codec, SIZES), codec, sizes=SIZES, facts={"seed": 5}, split={}, card="A card.\n"
    )
    return place


@pytest.fixture
def model(folder):
    return lstmusic.load(folder)


def test_songs_say_where_they_come_from(model, tmp_path):
    (song,) = model.generate(songs=1, seed=3, temperature=1.3, length_bars=1)
    midi.write(song.score, tmp_path / "song.mid")
    provenance = json.loads(next(text for _, text in Score.read(tmp_path / "song.mid").texts if text.startswith("{")))
    assert provenance["seed"] == 3
    assert provenance["song"] == 1
    assert provenance["sampling"]["temperature"] == 1.3
    assert provenance["model_sha256"] == model.folder.sha256
    assert provenance["lstmusic"] == lstmusic.__version__


def test_songs_are_legal_and_their_reports_true(model):
    for song in model.generate(songs=3, temperature=5.0, length_bars=1):
        assert song.legal
        assert song.report["illegal"] == 0
        assert song.report["ids"] == len(song.ids)
        assert song.report["notes"] == len(song.score.notes) > 0
        assert song.report["seconds"] == pytest.approx(song.score.length_s, abs=1e-3)
        scored = model.codec.scored(song.ids)[model.codec.group_size :]
        nats = music_model.piece_nats(model.model, model.codec, song.ids)[scored].mean()
        assert song.report["nats_per_token"] == pytest.approx(nats, abs=1e-4)


def test_each_note_has_its_surprise_but_those_of_the_primer(model, phrase):
    (song,) = model.generate(songs=1, seed=2, length_bars=2)
    nats = music_model.piece_nats(model.model, model.codec, song.ids)
    wanted = nats[model.codec.note_ids(song.ids) - model.codec.group_size]
    np.testing.assert_allclose(song.surprise.note_nats, wanted, atol=1e-4)
    assert np.nansum(song.surprise.bar_nats) == pytest.approx(
        nats[model.codec.scored(song.ids)[model.codec.group_size :]].sum(), abs=1e-2
    )
    primer = phrase(1)
    longer, rest = (
        model.generate(songs=1, seed=2, length_bars=2, primer=primer, primer_in_output=kept)[0]
        for kept in (True, False)
    )
    assert len(longer.surprise.note_nats) == len(longer.score.notes)
    assert np.isnan(longer.surprise.note_nats).sum() == len(primer.notes)
    assert len(rest.surprise.note_nats) == len(rest.score.notes)
    assert len(rest.surprise.bar_nats) == len(rest.score.bar_ticks()) - 1
    assert np.nansum(rest.surprise.note_nats) == pytest.approx(np.nansum(longer.surprise.note_nats))


def test_a_song_does_not_depend_on_how_many_are_asked_for(model):
    one, many = model.generate(songs=1, seed=9, length_bars=1), model.generate(songs=3, seed=9, length_bars=1)
    assert np.array_equal(one[0].ids, many[0].ids)
    assert not np.array_equal(many[0].ids, many[1].ids)


def test_a_primer_begins_the_song_or_is_left_out(model, phrase):
    primer = phrase(bars=1)
    whole = model.generate(songs=1, primer=primer, length_bars=1)[0]
    ids = model.codec.encode(primer)
    begin = len(ids) - model.codec.group_size
    assert np.array_equal(whole.ids[:begin], ids[:begin])
    only_new = model.generate(songs=1, primer=primer, length_bars=1, primer_in_output=False)[0]
    assert np.array_equal(whole.ids, only_new.ids)
    end = model.codec.decode(ids).end_tick
    late = whole.score.notes[whole.score.notes["onset_tick"] >= end]
    assert np.array_equal(only_new.score.notes["onset_tick"], late["onset_tick"] - end)
    assert np.array_equal(only_new.score.notes["pitch"], late["pitch"])


def test_a_primer_without_notes_is_refused(model):
    empty = Score(np.zeros(0, NOTE_DTYPE), (Track(),))
    with pytest.raises(ReadError, match="no notes"):
        model.generate(songs=1, primer=empty)


def test_nll_counts_music_only(model, phrase):
    ids = model.codec.encode(phrase(bars=2))
    nats = model.nll(phrase(bars=2))
    assert len(nats) == model.codec.scored(ids).sum()
    assert (nats >= 0).all()


def test_next_distribution_is_the_one_that_nll_uses(model, phrase):
    ids = model.codec.encode(phrase(bars=1)).astype(np.int64)
    nats = music_model.piece_nats(model.model, model.codec, ids)
    group = model.codec.group_size
    for at in (group, group + 1, len(ids) // 2, len(ids) - 1):
        p = model.next_distribution(ids[:at])
        assert p.sum() == pytest.approx(1)
        assert -np.log(p[ids[at]]) == pytest.approx(nats[at - group], abs=1e-4)
        allowed = model.codec.grammar.allowed(model.codec.grammar.trajectory(ids)[at : at + 1])[0]
        assert (p[~allowed] == 0).all()
    assert (model.next_distribution(ids[: len(ids) // 2], grammar=False) > 0).all()


def test_next_distribution_refuses_illegal_ids(model):
    with pytest.raises(IllegalSequenceError):
        model.next_distribution(np.array([1, 1, 1, 1]))


def test_a_song_without_notes_is_never_a_success(model, monkeypatch):
    tried = []

    def silent(*arguments, **settings):
        songs = real(*arguments, **settings)
        tried.append(len(songs))
        return [writing.Sampled(model.codec.grammar.bos(), song.nats[:0]) for song in songs]

    real = writing.sample
    monkeypatch.setattr(writing, "sample", silent)
    monkeypatch.setattr(model.codec, "decode", lambda ids: Score.from_pretty_midi(_silence()))
    with pytest.raises(GenerationError, match="without new notes"):
        model.generate(songs=2, length_bars=1)
    assert tried == [2] * writing.ATTEMPTS


def _silence():
    import pretty_midi

    return pretty_midi.PrettyMIDI()


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan"), float("inf")])
def test_temperature_is_positive(model, temperature):
    with pytest.raises(ConfigError, match="temperature"):
        model.generate(songs=1, temperature=temperature)


def test_a_name_that_is_no_model_is_refused_with_the_names_that_are():
    with pytest.raises(CheckpointError, match="expected a bundled model"):
        lstmusic.load("no-such-model")


def test_a_folder_without_weights_says_what_is_missing(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors is missing"):
        lstmusic.load(folder)


def test_the_package_hands_out_what_it_names():
    for name in lstmusic.__all__:
        assert getattr(lstmusic, name) is not None
    assert lstmusic.Controls is Controls
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        lstmusic.nothing  # noqa: B018
