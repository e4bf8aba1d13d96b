"""Whole songs: legal at any temperature, the same for the same seed, as long as asked."""

import numpy as np
import pytest
import torch

from lstmusic.errors import GenerationError
from lstmusic.evaluation.likelihood import piece_nats
from lstmusic.events import codec as codecs
from lstmusic.events import conditions
from lstmusic.events.chorale_grammar import BAR_STEPS
from lstmusic.sampling import ending
from lstmusic.sampling import songs as in_the_making
from lstmusic.sampling.controls import Controls
from lstmusic.sampling.repetition import loop_share
from lstmusic.sampling.sampler import sample
from lstmusic.sampling.settings import Length, Repetition, SamplingSettings
from lstmusic.sampling.songs import BLOCK

LONGEST_STEP_S = 0.63  # a 16th at 24 quarters a minute
# Where no length is asked for, the step that passes the limit is whole: a note of a melody may last 16 quarters.
LONGEST_BARS = {"melody": 16}


def generators(seed, songs):
    """A generator for each song: song i's depends on the seed and i alone."""
    return [np.random.default_rng((seed, i)) for i in range(songs)]


def songs_of(model, codec, *, seed=0, songs=2, bars=None, seconds=None, primer=None, **settings):
    """Sampled songs; by default two bars at temperature 1."""
    length = Length(bars=2 if bars is None and seconds is None else bars, seconds=seconds, cadence=False)
    return sample(
        model,
        codec.grammar,
        generators(seed, songs),
        settings=SamplingSettings(**settings),
        length=length,
        primer=primer,
    )


def written_length(codec, song, primer=None):
    """Bars and seconds in a song beyond its primer, without its EOS group."""
    states = codec.grammar.trajectory(song.ids)
    bars, seconds = codec.grammar.length(states)
    begin = 0 if primer is None else len(primer)
    return bars[-1] - bars[begin], seconds[-1] - seconds[begin]


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_an_untrained_model_at_temperature_5_writes_legal_songs(codec, tiny_model, cell):
    for song in songs_of(tiny_model(codec, cell=cell), codec, songs=3, temperature=5.0):
        codec.grammar.check(song.ids)
        assert (song.ids[-codec.group_size :] == codec.vocabulary.id("EOS")).all()
        assert len(codec.decode(song.ids).notes) >= 1


@pytest.mark.parametrize(
    "settings", [{"temperature": 0.05}, {"top_k": 1}, {"top_p": 0.01}, {"min_p": 0.99}, {"greedy": True}]
)
def test_songs_are_legal_however_narrow_the_choice(codec, tiny_model, settings):
    for song in songs_of(tiny_model(codec), codec, seconds=3.0, **settings):
        codec.grammar.check(song.ids)
        assert len(codec.decode(song.ids).notes) >= 1


def test_the_same_seed_gives_the_same_song_and_another_seed_another(codec, tiny_model):
    model = tiny_model(codec)
    first, again, other = (songs_of(model, codec, seed=seed) for seed in (1, 1, 2))
    for a, b in zip(first, again, strict=True):
        assert a.ids.tolist() == b.ids.tolist()
        assert a.nats.tolist() == b.nats.tolist()
    assert first[0].ids.tolist() != other[0].ids.tolist()
    assert first[0].ids.tolist() != first[1].ids.tolist()


def test_a_song_does_not_depend_on_how_many_are_written(codec, tiny_model):
    model = tiny_model(codec)
    many = songs_of(model, codec, songs=5)
    for count in (1, 2):
        for few, same in zip(songs_of(model, codec, songs=count), many[:count], strict=True):
            assert few.ids.tolist() == same.ids.tolist()


def test_greedy_ignores_the_generators(codec, tiny_model):
    model = tiny_model(codec)
    one, two = (songs_of(model, codec, seed=seed, greedy=True)[0] for seed in (1, 2))
    assert one.ids.tolist() == two.ids.tolist()


@pytest.mark.parametrize("strikes", [True, False])
@pytest.mark.parametrize("bars", [0.5, 1, 3])
def test_chorales_have_exactly_so_many_bars(tiny_model, strikes, bars):
    codec = codecs.build("chorale", strikes=strikes)
    for song in songs_of(tiny_model(codec), codec, songs=4, bars=bars):
        steps = len(song.ids) // 4 - 3
        meter = codec.vocabulary.values("METER", song.ids[4:5])[0]
        assert steps == np.ceil(bars * BAR_STEPS[meter])


def test_a_chorale_asked_for_in_seconds_ends_at_the_last_step_before(tiny_model):
    codec = codecs.build("chorale")
    for song in songs_of(tiny_model(codec), codec, songs=4, seconds=2.5):
        _, seconds = written_length(codec, song)
        assert 2.5 - LONGEST_STEP_S < seconds <= 2.5 + 1e-6


@pytest.mark.parametrize("bars", [1, 3])
def test_a_song_ends_exactly_on_the_bar_line_that_was_asked_for(codec, tiny_model, bars):
    for song in songs_of(tiny_model(codec), codec, songs=3, bars=bars):
        assert written_length(codec, song)[0] == pytest.approx(bars)


@pytest.mark.parametrize("cadence", [False, True])
def test_a_performance_ends_to_the_step_where_it_was_asked_to(tiny_model, cadence):
    codec = codecs.build("performance")
    model, length = tiny_model(codec), Length(seconds=5.0, cadence=cadence)
    for song in sample(model, codec.grammar, generators(0, 4), settings=SamplingSettings(), length=length):
        assert written_length(codec, song)[1] == pytest.approx(5.0)


def test_without_a_length_a_song_ends_by_itself_or_at_the_limit(codec, tiny_model, monkeypatch):
    monkeypatch.setattr(in_the_making, "MAX_BARS", 3)
    model = tiny_model(codec)
    lengths = []
    for seed in range(4):
        (song,) = sample(model, codec.grammar, generators(seed, 1), settings=SamplingSettings(), length=Length())
        codec.grammar.check(song.ids)
        lengths.append(written_length(codec, song)[0])
    assert max(lengths) <= 3 + LONGEST_BARS.get(codec.name, 1)
    if codec.name == "chorale":
        assert min(lengths) < 3  # an untrained model ends one piece or another by chance


@pytest.mark.parametrize("bars", [None, 2])
def test_a_primer_is_what_the_song_begins_with(codec, tiny_model, phrase, bars):
    primer = codec.encode(phrase())[: -codec.group_size].astype(np.int64)
    # An untrained model crowds notes on every position of a bar; metrical's last bar is filled to its line.
    seconds, longest = {"metrical": (0.5, 31.0)}.get(codec.name, (4.0, 4.0 + 1e-6))
    for song in songs_of(tiny_model(codec), codec, bars=bars, seconds=None if bars else seconds, primer=primer):
        assert song.ids[: len(primer)].tolist() == primer.tolist()
        codec.grammar.check(song.ids)
        new_bars, new_seconds = written_length(codec, song, primer)
        if bars:
            assert new_bars == pytest.approx(bars)
        else:
            assert seconds - LONGEST_STEP_S < new_seconds <= longest


def test_a_header_alone_can_be_a_primer(tiny_model, score_of):
    codec = codecs.build("chorale")
    primer = codec.encode(score_of([(0, 480, 60, 80, 0)], meter=(3, 4), key=(2, True)))[:8]
    for song in songs_of(tiny_model(codec), codec, primer=primer):
        decoded = codec.decode(song.ids)
        assert decoded.meters.tolist() == [(0, 3, 4)]
        assert decoded.keys.tolist() == [(0, 2, True)]
        assert len(song.ids) // 4 - 3 == 2 * 12


@pytest.mark.parametrize("primed", [False, True])
def test_the_nats_that_are_reported_are_those_of_the_piece(codec, tiny_model, phrase, primed):
    """Whatever the temperature, primer and length; the state after a primer is the one that reading it leaves."""
    model = tiny_model(codec)
    primer = codec.encode(phrase())[: -codec.group_size].astype(np.int64) if primed else None
    for song in songs_of(model, codec, primer=primer, temperature=1.7, top_p=0.9):
        expected = piece_nats(model, codec, song.ids)
        assert len(song.nats) == len(song.ids) - (codec.group_size if primer is None else len(primer))
        np.testing.assert_allclose(song.nats, expected[len(expected) - len(song.nats) :], atol=1e-4)


def test_the_song_of_every_generator_ends_where_it_ends(codec, tiny_model):
    """Songs of one batch have different lengths; each is cut after its own EOS group."""
    songs = songs_of(tiny_model(codec), codec, songs=6, temperature=1.5)
    eos = codec.vocabulary.id("EOS")
    assert len({len(song.ids) for song in songs}) > 1
    for song in songs:
        assert (song.ids == eos).sum() == codec.group_size


def test_a_song_that_would_strike_one_note_for_ever_is_closed(tiny_model, monkeypatch):
    monkeypatch.setattr(in_the_making, "MAX_IDS_AT_REST", 40)
    codec = codecs.build("metrical")
    model = tiny_model(codec)
    for event in (("POSITION", 0), ("PROGRAM", 0), ("PITCH", 60), ("DURATION", 11), ("VELOCITY", 20)):
        model.output_bias.data[codec.vocabulary.id(*event)] += 50
    (song,) = songs_of(model, codec, songs=1, bars=2, greedy=True)
    codec.grammar.check(song.ids)
    assert codec.num_notes(song.ids) == 6  # with the bar and the tempo before them, 40 ids
    assert song.stuck


def test_a_song_does_not_depend_on_the_other_songs_of_its_block_nor_on_their_number(tiny_model):
    """Alone in its place, in a full block, in a second block, with an ending chosen: the same ids."""
    codec = codecs.build("performance")
    model, settings, length = tiny_model(codec), SamplingSettings(), Length(seconds=2.0)

    def written(places):
        rows = [np.random.default_rng((0, i)) if i in places else None for i in range(max(places) + 1)]
        songs = sample(model, codec.grammar, rows, settings=settings, length=length)
        return dict(zip(sorted(places), songs, strict=True))

    everyone = written(range(BLOCK + 3))
    for places in ([1], [BLOCK + 2], [0, 7, BLOCK]):
        for i, song in written(places).items():
            assert song.ids.tolist() == everyone[i].ids.tolist()
            assert song.nats.tolist() == everyone[i].nats.tolist()


def test_a_song_is_ended_where_its_model_would_end_it(tiny_model):
    """A model that ends pieces after HOLDs alone gets endings that hold, of many that do not."""
    codec = codecs.build("chorale")
    model = tiny_model(codec)
    plain, chosen = (
        sample(model, codec.grammar, generators(0, 8), settings=SamplingSettings(), length=Length(3, cadence=cadence))
        for cadence in (False, True)
    )
    ending_nats = [np.mean([song.nats[-4:].sum() for song in songs]) for songs in (plain, chosen)]
    assert ending_nats[1] < ending_nats[0] - 0.2
    for song in chosen:
        codec.grammar.check(song.ids)
        assert written_length(codec, song)[0] == pytest.approx(3)
        expected = piece_nats(model, codec, song.ids)
        np.testing.assert_allclose(song.nats, expected[len(expected) - len(song.nats) :], atol=1e-4)


@pytest.mark.parametrize("cadence", [False, True])
def test_what_is_asked_of_a_model_with_conditions_is_what_it_is_told(tiny_model, monkeypatch, cadence):
    """With guidance 1 it writes as one that takes "not told" for what is asked; with guidance 0 as one that is not told."""
    codec, length = codecs.build("chorale", conditions=True), Length(1, cadence=cadence)
    monkeypatch.setattr(ending, "choose", lambda nats, uniform: 3)  # nats are those of the model that is not told
    model, asked = tiny_model(codec), {"density": 9.0, "pitch_classes": (1.0,) * 7 + (0.0,) * 5}

    def written(**controls):
        settings, controls = SamplingSettings(), Controls(**controls)
        songs = sample(model, codec.grammar, generators(0, 3), settings=settings, length=length, controls=controls)
        return [song.ids.tolist() for song in songs]

    free, told, ignored = written(), written(**asked, guidance=1.0), written(**asked, guidance=0.0)
    firsts = np.cumsum([0, *codec.grammar.column_sizes.values()])[:-1][-13:]
    levels = firsts + conditions.asked(**asked)
    with torch.no_grad():
        for bag in (model.stack_features, model.head_features):
            bag.weight[firsts] = bag.weight[levels]
    assert ignored == free
    assert told == written() != free


def test_temperatures_follow_a_curve_over_bars(tiny_model):
    codec = codecs.build("chorale")
    model = tiny_model(codec)
    cold, warm = (
        songs_of(model, codec, songs=4, bars=4, temperature=((1.9, 1e-3), (2.0, after))) for after in (1e-3, 1.0)
    )
    for quiet, loud in zip(cold, warm, strict=True):
        bar = len(quiet.ids) // 2
        assert quiet.ids[: bar // 2].tolist() == loud.ids[: bar // 2].tolist()
        assert quiet.ids.tolist() != loud.ids.tolist()


def test_a_circle_is_left_by_a_higher_temperature(tiny_model):
    """A model that strikes the same note on every step goes round for ever when it is cold, unless loops are broken."""
    codec = codecs.build("chorale")
    model, settings, length = tiny_model(codec), SamplingSettings(temperature=0.5), Length(14, cadence=False)
    model.output_bias.data[codec.vocabulary.id("PITCH", 60)] += 7
    shares = []
    for broken in (False, True):
        repetition = Repetition(break_loops=broken)
        songs = sample(model, codec.grammar, generators(0, 2), settings=settings, length=length, repetition=repetition)
        shares.append(np.mean([loop_share(song.ids.reshape(-1, 4)) for song in songs]))
    assert shares[0] > 0.9
    assert shares[1] < 0.8


def test_bars_come_back_where_that_is_asked_for(tiny_model):
    """A model that draws at random repeats no bar by itself; with a primer and endings too, half of them are wanted."""
    codec = codecs.build("chorale")
    model, length = tiny_model(codec), Length(5)
    primer = codec.encode(codec.decode(songs_of(model, codec, songs=1, bars=4)[0].ids)).astype(np.int64)[:-4]

    def same_bars(least):
        songs = sample(
            model, codec.grammar, generators(0, 1), settings=SamplingSettings(temperature=0.3), length=length,
            primer=primer, repetition=Repetition(least=least),
        )  # fmt: skip
        return np.mean([repeated_steps(codec, song.ids) for song in songs])

    assert same_bars(0.5) > same_bars(0.0) + 0.2


def repeated_steps(codec, ids):
    """The share of steps that equal the one four bars before."""
    steps = ids.reshape(-1, 4)[2:-1]
    bar = BAR_STEPS[codec.vocabulary.values("METER", ids[4:5])[0]]
    return (steps[4 * bar :] == steps[: -4 * bar]).all(axis=1).mean()


def test_a_song_that_has_ended_is_not_stuck_while_others_go_on(tiny_model, monkeypatch):
    monkeypatch.setattr(in_the_making, "MAX_IDS_AT_REST", 40)
    codec = codecs.build("chorale")
    songs = songs_of(tiny_model(codec), codec, songs=8, bars=4)
    assert max(len(song.ids) for song in songs) > min(len(song.ids) for song in songs) + 60
    assert not any(song.stuck for song in songs)


def test_logits_that_are_no_numbers_are_told(tiny_model):
    codec = codecs.build("chorale")
    model = tiny_model(codec)
    model.output_bias.data.fill_(float("nan"))
    with pytest.raises(GenerationError, match="not finite"):
        songs_of(model, codec)
