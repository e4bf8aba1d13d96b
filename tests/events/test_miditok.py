"""MidiTok's tokenizers as encodings: its own ids, legal by its own graph."""

import json
import sys
from collections import Counter

import numpy as np
import pytest

from lstmusic.errors import ConfigError, IllegalSequenceError, ReadError, VocabularyError
from lstmusic.events import codec as codecs
from lstmusic.sampling.sampler import sample
from lstmusic.sampling.settings import Length, SamplingSettings
from lstmusic.score import Score, midi
from lstmusic.score.score import METER_DTYPE, NOTE_DTYPE, PEDAL_DTYPE, TEMPO_DTYPE, Track, sorted_notes, table

miditok = pytest.importorskip("miditok")
symusic = pytest.importorskip("symusic")

NAMES = ("REMI", "MIDILike", "TSD", "Structured", "CPWord", "BEAT")


@pytest.fixture(scope="module", params=NAMES)
def tokens(request):
    """Every tokenizer in turn, as MidiTok has it by default."""
    return codecs.build(request.param)


@pytest.fixture
def band() -> Score:
    """Two instruments and drums over two bars of 4/4 and one of 3/4, with a change of tempo."""
    rows = [
        *((480 * k, 240 + 240 * (k % 2), 60 + k, 80, 0) for k in range(10)),
        *((960 * k, 960, 43 + k, 64, 1) for k in range(5)),
        *((480 * k, 120, 36 + 2 * (k % 2), 100, 2) for k in range(11)),
    ]
    return Score(
        sorted_notes(table(NOTE_DTYPE, *(np.array(column) for column in zip(*rows, strict=True)))),
        (Track(0, False, "piano"), Track(33, False, "bass"), Track(0, True, "kit")),
        tempi=table(TEMPO_DTYPE, [0, 1920], [500_000, 600_000]),
        meters=table(METER_DTYPE, [0, 3840], [4, 3], [4, 4]),
    )


def sounding(score):
    """(onset, pitch, duration, program, drum) of every note, times in quarters."""
    rows = (
        (
            round(onset / score.ticks_per_quarter, 3),
            pitch,
            round(duration / score.ticks_per_quarter, 3),
            *(score.tracks[track].program, score.tracks[track].drum),
        )
        for onset, duration, pitch, _, track in score.notes.tolist()
    )
    return sorted(rows)


def test_the_tokens_of_one_note(score_of):
    codec = codecs.build("TSD")
    ids = codec.encode(score_of([(480, 480, 60, 63, 0)], tracks=(Track(19),)))
    names = {id: name for name, id in codec._parts.tokenizer.vocab.items()}
    assert [names[id] for id in ids.tolist()] == [
        *("BOS_None", "TimeSig_4/4", "Tempo_121.29", "TimeShift_1.0.8"),
        *("Program_19", "Pitch_60", "Velocity_63", "Duration_1.0.8", "EOS_None"),
    ]
    kinds = [codec.vocabulary.event(id).kind for id in ids.tolist()]
    assert kinds == [names[id].split("_")[0] for id in ids.tolist()]
    assert codec.vocabulary.event(int(ids[5])) == ("Pitch", 60)


def test_the_ids_are_miditoks_own(tokens, band, tmp_path):
    midi.write(band, tmp_path / "band.mid")
    config = miditok.TokenizerConfig(use_programs=True, use_tempos=True)
    own = getattr(miditok, tokens.name)(config)(tmp_path / "band.mid").ids
    music = tokens.encode(band).astype(int)[tokens.group_size : -tokens.group_size]
    if tokens.group_size == 1:
        assert music.tolist() == own
    else:  # each vocabulary after the one before it, its special tokens left out
        sizes = [len(vocabulary) for vocabulary in tokens._parts.tokenizer.vocab]
        first = np.cumsum([0, *(size - 4 for size in sizes[:-1])])
        assert (music.reshape(-1, tokens.group_size) - first).tolist() == own


def test_music_comes_back(tokens, band):
    ids = tokens.encode(band, losses := Counter())
    tokens.grammar.check(ids)
    assert ids.dtype == np.uint16
    decoded = tokens.decode(ids)
    assert sounding(decoded) == sounding(band)
    assert tokens.num_notes(ids) == len(band.notes)
    assert losses["notes left out"] == 0
    carried = tokens.name != "Structured"
    assert (losses["tempi left out"], losses["meters left out"]) == ((0, 0) if carried else (1, 1))
    if carried:
        assert decoded.meters["numerator"].tolist() == [4, 3]


def test_what_a_tokenizer_leaves_out_is_counted(score_of):
    codec = codecs.build("REMI")
    score = score_of([(0, 480, 60, 80, 0), (0, 480, 5, 80, 0)], key=(0, False))
    codec.encode(score, losses := Counter())
    changed = {"velocities changed": 1, "tempi moved or changed": 1}  # to 79, and to 121.29 qpm
    assert dict(+losses) == {"notes left out": 1, "keys left out": 1, **changed}
    with pytest.raises(ReadError, match="no notes: expected notes that the tokenizer knows"):
        codec.encode(score_of([(0, 480, 5, 80, 0)]))
    with pytest.raises(ReadError, match="no notes"):
        codec.encode(Score(np.zeros(0, NOTE_DTYPE), ()))


@pytest.mark.parametrize("name", ["REMI", "TSD", "MIDILike", "CPWord"])
def test_what_a_tokenizer_moves_is_counted(score_of, name):
    rows = [(0, 480, 60, 79, 0), (490, 480, 62, 80, 0), (960, 490, 64, 79, 0), (1440, 480, 65, 79, 0)]
    codecs.build(name).encode(score_of(rows, meter=(5, 16)), losses := Counter())
    moved = {"onsets moved": 1, "durations changed": 1, "velocities changed": 1}
    maps = {"tempi moved or changed": 1, "meters moved or changed": 1}
    assert dict(+losses) == moved | maps


@pytest.mark.parametrize("name", ["TSD", "MIDILike", "Structured"])  # an untrained model seldom writes REMI's bars
def test_songs_are_as_long_as_asked(tiny_model, name):
    codec = codecs.build(name)
    model = tiny_model(codec)
    for field, asked, most in (("bars", 2, 6), ("bars", 12, 16), ("seconds", 3, 20), ("seconds", 40, 60)):
        generators, length = [np.random.default_rng(seed) for seed in range(2)], Length(**{field: asked})
        for song in sample(model, codec.grammar, generators, settings=SamplingSettings(), length=length):
            bars, seconds = codec.grammar.length(codec.grammar.trajectory(song.ids)[-1])
            assert asked - 1e-6 <= {"bars": bars, "seconds": seconds}[field] <= most


def test_what_length_returns_is_no_view_of_the_state(tokens):
    state = tokens.grammar.start(2)
    assert not any(np.shares_memory(part, state) for part in tokens.grammar.length(state))


def test_the_pedal_is_folded_into_durations(score_of):
    from dataclasses import replace

    codec = codecs.build("TSD")
    score = replace(score_of([(0, 480, 60, 80, 0)]), pedals=table(PEDAL_DTYPE, [0, 960], 0, [True, False]))
    ids = codec.encode(score, losses := Counter())
    assert codec.decode(ids).notes["duration_tick"].tolist() == [2 * codec.decode(ids).ticks_per_quarter]
    assert losses["pedal changes folded into durations"] == 2


def test_stepwise_equals_the_whole_trajectory(tokens, band, random_walk):
    grammar, group = tokens.grammar, tokens.group_size
    walks = [random_walk(grammar, np.random.default_rng(seed), 60) for seed in range(3)]
    for ids in [tokens.encode(band).astype(np.int64), *walks]:
        state, states = grammar.start(1), []
        for k, token in enumerate(ids):
            states.append(state.copy())
            if k >= group:
                grammar.advance(state, np.array([token]))
        one_by_one, at_once = np.concatenate(states), grammar.trajectory(ids)
        for name in at_once.dtype.names:
            assert np.array_equal(at_once[name], one_by_one[name]), name
        assert grammar.finished(state).all()
        columns = grammar.features(at_once).columns
        assert (columns < list(grammar.feature_sizes.values())).all()


def test_walks_are_legal_and_decode(tokens, random_walk):
    for seed in range(8):
        ids = random_walk(tokens.grammar, np.random.default_rng(seed), 20 * seed + 2)
        tokens.grammar.check(ids)
        assert len(tokens.decode(ids).notes) == tokens.num_notes(ids)


def test_closing_ends_from_everywhere_within_a_note(tokens, band):
    states = tokens.grammar.trajectory(tokens.encode(band))
    closing = tokens.grammar.closing(states)
    assert not (closing & ~tokens.grammar.allowed(states)).any()
    written = 0
    while not tokens.grammar.finished(states).all():
        closing = tokens.grammar.closing(states)
        assert closing.any(axis=-1).all()
        tokens.grammar.advance(states, np.argmax(closing, axis=-1))
        written += 1
        assert written <= 8 * tokens.group_size


def test_a_piece_may_not_end_within_a_note_or_without_one():
    grammar = codecs.build("TSD").grammar
    state = grammar.start(1)
    may_end = []
    for kind, value in (("TimeSig", 8), ("Program", 0), ("Pitch", 60), ("Velocity", 9), ("Duration", 3)):
        grammar.advance(state, np.array([grammar.vocabulary.id(kind, value)]))
        may_end.append(bool(grammar.allowed(state)[0, grammar.vocabulary.id("EOS")]))
    assert may_end == [False, False, False, False, True]
    wrong = [grammar.vocabulary.id(*event) for event in (("BOS", 0), ("TimeSig", 8), ("Pitch", 60), ("Velocity", 9))]
    with pytest.raises(IllegalSequenceError, match=r"position 2: .*Pitch"):
        grammar.check(wrong)


def test_length_counts_bars_and_seconds(tokens, band):
    bars, seconds = tokens.grammar.length(tokens.grammar.trajectory(tokens.encode(band))[-1])
    if tokens.name == "Structured":  # knows neither meter nor tempo
        assert (bars, seconds) == (2.5, 5)
    elif tokens.name in ("REMI", "CPWord", "BEAT"):  # whole bars, before the last
        assert bars == 2
        assert seconds == pytest.approx(4 * 0.5 + 4 * 0.6, rel=0.05)
    else:
        assert bars == pytest.approx(2 + 2 / 3, abs=0.4)
        assert seconds == pytest.approx(4 * 0.5 + 6 * 0.6, rel=0.12)


def test_transposing_moves_the_notes_and_not_the_drums(tokens, band):
    codec, ids = tokens, tokens.encode(band)
    low, high = codec.transpositions(ids)
    assert low < 0 < high
    for shift in (low, high):
        moved = codec.augment(ids, shift)
        codec.grammar.check(moved)
        expected = [(on, pitch + (0 if drum else shift), *rest, drum) for on, pitch, *rest, drum in sounding(band)]
        assert sounding(codec.decode(moved)) == sorted(expected)
        assert codec.augment(moved, -shift).tolist() == ids.tolist()
    with pytest.raises(VocabularyError, match=f"semitones={high + 1}: expected {low} to {high}"):
        codec.augment(ids, high + 1)


def test_contexts_and_repeats_look_back_only(tokens, phrase):
    one, two = (tokens.encode(phrase(2, seed)).astype(np.int64) for seed in (1, 2))
    group = tokens.group_size
    for cut in range(2 * group, min(len(one), len(two)), 7 * group):
        other = np.r_[one[:cut], two[cut:]]
        assert tokens.contexts(other)[: cut + 1].tolist() == tokens.contexts(one)[: cut + 1].tolist()
        assert tokens.repeats(other)[: cut + 1].tolist() == tokens.repeats(one)[: cut + 1].tolist()


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """The file of a tokenizer that has learned byte pairs from three small pieces, and one of the pieces."""
    folder = tmp_path_factory.mktemp("learned")
    rng = np.random.default_rng(0)
    for k in range(3):
        rows = table(NOTE_DTYPE, 240 * np.arange(64), 240, 60 + rng.integers(0, 4, 64), 80, 0)
        midi.write(Score(rows, (Track(),)), folder / f"{k}.mid")
    tokenizer = miditok.TSD(miditok.TokenizerConfig(use_programs=True, use_tempos=True))
    tokenizer.train(vocab_size=560, files_paths=sorted(folder.glob("*.mid")))
    tokenizer.save(folder / "tokenizer.json")
    return folder / "tokenizer.json", midi.read(folder / "0.mid")


def test_learned_byte_pairs_say_the_same_in_fewer_ids(learned, random_walk):
    file, score = learned
    plain, codec = codecs.build("TSD"), codecs.build("TSD", tokenizer=str(file))
    assert codec.vocabulary.ranges[-1].kind == "BPE"
    ids, longer = codec.encode(score), plain.encode(score)
    codec.grammar.check(ids)
    assert len(ids) < 0.7 * len(longer)
    assert sounding(codec.decode(ids)) == sounding(plain.decode(longer)) == sounding(score)
    lengths = [c.grammar.length(c.grammar.trajectory(i)[-1]) for c, i in ((codec, ids), (plain, longer))]
    assert np.allclose(*lengths)
    assert codec.transpositions(ids) == (0, 0)
    walk = random_walk(codec.grammar, np.random.default_rng(0), 40)
    codec.grammar.check(walk)
    assert codec.decode(walk).notes["pitch"].size > 0


def test_a_model_folder_needs_no_file(learned):
    file, score = learned
    codec = codecs.build("TSD", tokenizer=str(file))
    again = codecs.build(codec.name, **json.loads(json.dumps(codec.options)))
    assert (again.options, again.vocabulary) == (codec.options, codec.vocabulary)
    assert again.encode(score).tolist() == codec.encode(score).tolist()


@pytest.mark.parametrize("name", ["Octuple", "MuMIDI", "MMM", "PerTok"])
def test_what_cannot_be_used_is_refused_with_the_reason(name):
    with pytest.raises(ConfigError, match=f"^encoding.name={name}: .*; expected one of REMI, MIDILike, TSD"):
        codecs.build(name)


def test_an_option_that_no_tokenizer_has_is_named():
    with pytest.raises(
        ConfigError, match=r"^encoding\.grouped=True: TSD has no such option, expected one of tokenizer$"
    ):
        codecs.build("TSD", grouped=True)


def test_a_file_that_is_no_tokenizer_for_this(tmp_path, learned):
    file = tmp_path / "tokenizer.json"
    with pytest.raises(ConfigError, match=r"encoding.tokenizer=.*tokenizer.json: no such file"):
        codecs.build("TSD", tokenizer=str(file))
    file.write_text("no JSON")
    with pytest.raises(ConfigError, match="no tokenizer that MidiTok has saved"):
        codecs.build("TSD", tokenizer=str(file))
    with pytest.raises(ConfigError, match=r"a tokenizer of TSD, expected one of encoding\.name=REMI"):
        codecs.build("REMI", tokenizer=str(learned[0]))
    miditok.TSD().save(file)
    with pytest.raises(ConfigError, match=r"a stream for each track, expected one for all \(use_programs\)"):
        codecs.build("TSD", tokenizer=str(file))


def test_without_miditok_one_line_says_how_to_get_it(monkeypatch):
    from lstmusic.events import miditok_tokens

    monkeypatch.setitem(sys.modules, "miditok", None)
    miditok_tokens.default_text.cache_clear()
    with pytest.raises(ConfigError, match=r"^encoding=miditok: not installed; pip install 'lstmusic\[miditok\]'$"):
        codecs.build("TSD")
