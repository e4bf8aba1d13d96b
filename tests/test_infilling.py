"""Pieces of which some is written anew, through the face of a model: the rest stays, whatever the encoding carries."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

import lstmusic
from lstmusic import provenance, reproduction, writing
from lstmusic.errors import ConfigError, GenerationError
from lstmusic.evaluation.originality import Index
from lstmusic.events import codec as codecs
from lstmusic.infilling import Infill, Task
from lstmusic.music_model import MusicModel
from lstmusic.packing import pack, unpack
from lstmusic.sampling.infill import Infilled
from lstmusic.score import Score, Track, midi
from lstmusic.score.score import TEMPO_DTYPE, sorted_notes, table
from lstmusic.score.splice import inside
from lstmusic.training import checkpoint

BAR = 1920
SIZES = {"hidden_size": 12, "embedding_size": 8, "num_layers": 1}


@pytest.fixture(params=["chorale", "performance", "metrical", "melody", "frames"])
def model(request, tmp_path) -> MusicModel:
    """An untrained model of each encoding."""
    codec = codecs.build(request.param)
    sizes = {**SIZES, **({"output": "joint"} if request.param == "frames" else {})}
    checkpoint.save(
        tmp_path / "model",
        checkpoint.build_model(codec, sizes),
        codec,
        sizes=sizes,
        facts={},
        split={},
        card="A card.\n",
    )
    return lstmusic.load(tmp_path / "model")


@pytest.fixture
def played(phrase) -> Score:
    """Six bars of two instruments and drums, not on any grid, with a silent bar before them and a change of tempo."""
    rng, piece = np.random.default_rng(1), phrase(6)
    notes = piece.notes.copy()
    notes["track"] = notes["track"] % 2
    notes["onset_tick"] += BAR + rng.integers(0, 30, len(notes))
    notes["duration_tick"] += rng.integers(-60, 20, len(notes))
    notes["velocity"] = rng.integers(40, 100, len(notes))
    drums = notes[::4].copy()
    drums["track"], drums["pitch"], drums["duration_tick"] = 2, 38, 30
    tracks = (Track(0, False, "piano"), Track(40, False, "strings"), Track(0, True, "kit"))
    tempi = table(TEMPO_DTYPE, [0, 5 * BAR], [500_000, 600_000])
    return replace(piece, notes=sorted_notes(np.concatenate([notes, drums])), tracks=tracks, tempi=tempi).canonical()


def outside(score, span):
    return score.notes[~inside(score.notes, span)]


@pytest.mark.parametrize("bars", [(1, 2), (4, 4), (7, 7)])
def test_what_sounds_outside_stays_to_the_tick(model, played, bars):
    infill = Infill(played, bars, particles=2)
    drums = played.notes["track"] == 2
    for song in model.generate(1, seed=3, infill=infill):
        assert np.isin(outside(played, infill.span), outside(song.score, infill.span)).all()
        assert len(outside(played, infill.span)) == len(outside(song.score, infill.span))
        for name in ("tempi", "meters", "keys"):
            assert np.array_equal(getattr(played, name), getattr(song.score, name))
        assert song.score.tracks[: len(played.tracks)] == played.tracks
        assert (song.score.ticks_per_quarter, song.score.pickup_tick) == (played.ticks_per_quarter, played.pickup_tick)
        if model.codec.name != "metrical":  # the others know no drums: theirs stay inside, too
            assert np.isin(played.notes[drums], song.score.notes).all()
        assert song.legal
        assert song.report["new_notes"] > 0


def test_songs_are_different_and_made_again(model, played, tmp_path):
    songs = model.generate(2, seed=3, infill=Infill(played, (4, 5), particles=2))
    assert songs[0].score != songs[1].score
    for song in songs:
        midi.write(song.score, tmp_path / "song.mid")
        read, facts = Score.read(tmp_path / "song.mid"), provenance.facts_of(tmp_path / "song.mid")
        assert provenance.fingerprint(read) == facts["music_sha256"]
        midi.write(reproduction.reproduce(facts, model, read).score, tmp_path / "again.mid")
        assert (tmp_path / "again.mid").read_bytes() == (tmp_path / "song.mid").read_bytes()
        assert reproduction.changed_settings(facts)["infill.bars"] == [4, 5]
    (alone,) = model.generate(1, seed=3, infill=Infill(played, (4, 5), particles=2))
    assert alone.score == songs[0].score


def test_new_notes_are_as_loud_as_the_piece(model, phrase):
    """Of encodings without velocities; the models of the two others draw them."""
    quiet = phrase(6).notes.copy()
    quiet["velocity"] = 31
    (song,) = model.generate(1, seed=3, infill=Infill(replace(phrase(6), notes=quiet), (3, 4), particles=2))
    assert song.new is not None
    velocities = song.score.notes["velocity"][song.new].tolist()
    assert set(velocities) == {31} or model.codec.name in ("performance", "metrical")


def test_a_melody_is_harmonised(steered_model, score_of):
    melody = score_of([(480 * k, 480, 67 + k % 5, 80, 0) for k in range(16)], tracks=(Track(73, False, "flute"),))
    (song,) = steered_model.generate(1, infill=Infill(melody, keep=("Soprano",)))
    assert np.array_equal(song.score.notes[song.score.notes["track"] == 0], melody.notes)
    assert song.score.tracks[0].name == "flute"
    assert {track.name for track in song.score.tracks[1:]} <= {"Alto", "Tenor", "Bass"}
    assert {track.program for track in song.score.tracks} == {73}
    assert song.report["infill"]["voices"] == {"Soprano": "flute"}
    assert song.report["infill"]["removed_notes"] == 0
    assert song.report["new_notes"] == len(song.score.notes) - 16 > 0
    assert song.report["new_ids"] == 3 * 64  # of the lower voices in each sixteenth of four bars
    lower = song.nats[: 4 * 64].reshape(64, 4)[:, 1:]  # without the soprano's, and the ending's
    assert song.report["nats_per_token"] == pytest.approx(lower.mean())


def test_a_harmonised_melody_is_made_again(steered_model, score_of, tmp_path):
    """Its new voices have tracks of their own, of the instrument and as loud as the melody."""
    notes = [(480 * k, 480, 67 + k % 5, 31 + k % 3, 0) for k in range(16)]
    melody = score_of(notes, tracks=(Track(73, False, "lead"),))
    (song,) = steered_model.generate(1, infill=Infill(melody, keep="Soprano"))
    assert set(song.score.notes["velocity"][song.new].tolist()) == {32}
    midi.write(song.score, tmp_path / "song.mid")
    read, facts = Score.read(tmp_path / "song.mid"), provenance.facts_of(tmp_path / "song.mid")
    again = reproduction.reproduce(facts, steered_model, read)
    assert again.report["infill"]["voices"] == {"Soprano": "lead"}
    midi.write(again.score, tmp_path / "again.mid")
    assert (tmp_path / "again.mid").read_bytes() == (tmp_path / "song.mid").read_bytes()


def test_what_comes_out_as_it_was_is_new(steered_model, phrase, monkeypatch):
    """Notes are new that are written, not those that differ: a gap filled with the training piece shares its bars."""
    piece = phrase(4)
    monkeypatch.setattr(steered_model, "index", Index.build([("piece", piece)]))
    asked = Infill(piece, (2, 3))
    ids = asked.task(steered_model.codec, Counter()).ids
    same = Infilled(ids, np.zeros(len(ids) - steered_model.codec.group_size), overruled=0)
    monkeypatch.setattr(writing, "infill", lambda model, grammar, given, generators, **how: [same] * len(generators))
    (song,) = steered_model.generate(1, infill=asked)
    assert song.new is not None
    assert np.array_equal(song.score.notes[song.new], piece.notes[inside(piece.notes, (BAR, 3 * BAR))])
    assert song.report["new_notes"] == song.new.sum() == song.report["infill"]["removed_notes"] > 0
    assert song.report["originality"]["piece"] == "piece"
    assert song.report["originality"]["bars"] > 1
    with pytest.raises(GenerationError, match="share more bars than"):
        steered_model.generate(1, infill=asked, max_shared_bars=0.5)


def test_another_songs_provenance_does_not_stay(steered_model, phrase):
    (first,) = steered_model.generate(1, primer=phrase(2), length_bars=4, cadence=False)
    (song,) = steered_model.generate(1, infill=Infill(first.score, (2, 3)))
    assert sum(text.startswith(provenance.BEGINNING) for _, text in song.score.texts) == 1


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda ids: ids[:-4], "the piece's ids do not end it"),
        (lambda ids: ids[:-1], "the piece's ids are not legal"),
        (lambda ids: ids[:0], "the piece's ids are not legal"),
        (lambda ids: np.r_[ids[:8], 9999, ids[9:]], "the piece's ids are not legal"),
        (lambda ids: np.r_[ids[:8], ids[:4], ids[12:]], "the piece's ids are not legal"),
    ],
)
def test_a_damaged_piece_is_refused(steered_model, phrase, damage, words):
    (song,) = steered_model.generate(1, infill=Infill(phrase(4), (2, 3), particles=2))
    facts = json.loads(song.score.texts[0][1])
    facts["infill"]["piece"] = pack(damage(unpack(facts["infill"]["piece"], "the piece")))  # its sha256 is right
    with pytest.raises(ConfigError, match=f"^provenance: {words}"):
        reproduction.reproduce(facts, steered_model, song.score)


def test_a_task_in_plain_values(phrase):
    codec = codecs.build("chorale")
    task = Infill(phrase(4), (2, 3), ("Bass",), 4).task(codec, Counter())
    again = Task.of(task.facts())
    assert again.facts() == task.facts()
    assert (task.gap.piece, task.gap.music, task.origin) == ((BAR, 3 * BAR), (BAR, 3 * BAR), 0.0)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"bars": (0, 2)}, r"infill.bars=\[0, 2\]: expected the first and the last of bars 1 to 4"),
        ({"bars": (3, 2)}, "expected the first and the last of bars 1 to 4"),
        ({"bars": (4, 5)}, "expected the first and the last of bars 1 to 4"),
        ({}, "infill: nothing of the piece would stay"),
        ({"bars": (1.0, 2.0)}, r"infill.bars=\(1.0, 2.0\): expected two whole numbers, the first and last bar"),
        ({"bars": (1, 2, 3)}, r"infill.bars=\(1, 2, 3\): expected two whole numbers"),
        ({"bars": 2}, r"infill.bars=2: expected two whole numbers"),
        ({"bars": (1, 2), "keep": "Violin"}, "infill.keep=Violin: there is no such voice"),
        ({"bars": (1, 2), "particles": 0}, "infill.particles=0: expected 1 to"),
        ({"bars": (1, 2), "keep": ("Violin",)}, "infill.keep=Violin: there is no such voice"),
    ],
)
def test_what_cannot_be_is_refused(steered_model, phrase, asked, words):
    with pytest.raises(ConfigError, match=words):
        steered_model.generate(1, infill=Infill(phrase(4), **asked))


def test_one_voice_by_its_bare_name(phrase):
    assert Infill(phrase(4), (1, 2), "Soprano") == Infill(phrase(4), (1, 2), ("Soprano",))


@pytest.mark.parametrize(
    ("argument", "value", "words"),
    [
        ("infill", Score.read, "infill: came as method, expected an Infill, which is of a Score"),
        ("primer", "x.mid", "primer: came as str, expected a Score, as Score.read gives it"),
        ("start", "a.json", "start: came as str, expected a Snapshot, as Snapshot.read gives it"),
        ("max_shared_bars", "2", "originality.max_bars: came as str, expected a number of bars"),
    ],
)
def test_arguments_of_another_kind_are_refused(steered_model, argument, value, words):
    with pytest.raises(ConfigError, match=f"^{words}$"):
        steered_model.generate(1, **{argument: value})
    with pytest.raises(ConfigError, match=r"^infill.piece: came as str, expected a Score, as Score.read gives it$"):
        Infill("x.mid", (1, 2))


@pytest.mark.parametrize("other", [{"length_bars": 2}, {"primer": True}])
def test_a_piece_comes_alone(steered_model, phrase, other):
    other = {"primer": phrase(2)} if "primer" in other else other
    with pytest.raises(ConfigError, match="expected the piece alone"):
        steered_model.generate(1, infill=Infill(phrase(4), (1, 2)), **other)


def test_bars_without_music_for_the_model(steered_model, score_of):
    late = score_of([(8 * BAR + 480 * k, 480, 60, 80, 0) for k in range(8)])
    with pytest.raises(ConfigError, match="expected bars in which there is music that this model knows"):
        steered_model.generate(1, infill=Infill(late, (2, 4)))
