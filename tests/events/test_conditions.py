"""What the music around a moment is like: worked by hand, against a loop, and the same whether measured or asked for."""

import math

import numpy as np
import pytest

from lstmusic.errors import ConfigError
from lstmusic.events import codec as codecs
from lstmusic.events import conditions
from lstmusic.score.score import Track

ENCODINGS = {
    "chorale": ("chorale", {}),
    "canonical": ("chorale", {"strikes": False}),
    "melody": ("melody", {}),
    "metrical": ("metrical", {}),
    "flat": ("metrical", {"grouped": False}),
    "performance": ("performance", {}),
    "pedals": ("performance", {"pedals": True}),
}
BAR = 4 * 480


@pytest.fixture(params=ENCODINGS)
def codec(request):
    """Every encoding that can tell conditions, telling them."""
    name, options = ENCODINGS[request.param]
    return codecs.build(name, **options, conditions=True)


@pytest.fixture
def tune(score_of):
    """Six bars at 120 qpm, so that a bar takes 2 s: two of quarters on C, two of a whole G each, two of halves on E."""
    rows = [(480 * k, 480, 60, 80, 0) for k in range(8)]
    rows += [(BAR * k, BAR, 67, 80, 0) for k in (2, 3)]
    rows += [(4 * BAR + 960 * k, 960, 64, 80, 0) for k in range(4)]
    return score_of(rows)


def measured_of(codec, ids):
    """The conditions of a piece, and the bar at which each of its ids stands."""
    states = codec.grammar.trajectory(ids)
    return conditions.measured(codec.grammar, ids, states), codec.grammar.length(states)[0]


def columns(density, **levels):
    """A row of conditions: the level of density, and of each pitch class named; of the others that of none."""
    row = [density] + [1] * 12
    for name, level in levels.items():
        row[1 + {"C": 0, "E": 4, "G": 7}[name]] = level
    return row


HELD = {  # a pitch that goes on is one note: at bar 0 a C and a G, 0.5 a bar; later a G and an E
    0: columns(1, C=8, G=8),
    1: columns(1, E=8, G=8),
    2: columns(1, E=8, G=8),
}
STRUCK = {
    0: columns(6, C=8, G=6),  # 8 C and 2 G in 4 bars: 2.5 = 0.5 * 2 ** (4.64 / 2); 0.8 and 0.2
    1: columns(5, C=8, E=7, G=7),  # 4 C, 2 G, 2 E: 2.0 = 0.5 * 2 ** (4 / 2); 0.5, 0.25, 0.25
    2: columns(4, E=8, G=8),  # 2 G, 4 E: 1.5 = 0.5 * 2 ** (3.17 / 2); 0.33 and 0.67
}


def test_a_tune_in_every_encoding(codec, tune):
    """The window begins where an id stands; from bar 2 on it is that of the last four bars."""
    told, bars = measured_of(codec, codec.encode(tune))
    assert told.dtype == np.int16
    assert bars[-1] == 6
    expected = HELD if codec.options.get("strikes") is False else STRUCK
    for bar, row in expected.items():
        here = (bars == bar) if bar < 2 else (bars >= 2)
        assert here.any()
        assert (told[here] == row).all(), bar


def test_all_voices_count(score_of):
    """Two bars: 4 quarters in the soprano, 2 halves in the bass: 6 notes, 3 a bar."""
    rows = [(960 * k, 960, 72, 80, 0) for k in range(4)] + [(BAR * k, BAR, 48 + 7 * k, 80, 3) for k in range(2)]
    tracks = tuple(Track(19, False, name) for name in ("Soprano", "Alto", "Tenor", "Bass"))
    for name in ("chorale", "metrical", "performance"):
        codec = codecs.build(name, conditions=True)
        told, _ = measured_of(codec, codec.encode(score_of(rows, tracks=tracks)))
        assert (told == columns(6, C=8, G=6)).all()  # 2 log2(3 / 0.5) = 5.17; C 5/6, G 1/6


def test_drums_do_not_count(tune, score_of):
    rows = [tuple(row)[:5] for row in tune.notes.tolist()]
    beats = [(480 * k, 120, 36, 100, 1) for k in range(24)]
    with_drums = score_of(rows + beats, tracks=(Track(0), Track(9, True)))
    for grouped in (True, False):
        codec = codecs.build("metrical", grouped=grouped, conditions=True)
        told, bars = measured_of(codec, codec.encode(with_drums))
        assert (told[bars == 0] == STRUCK[0]).all()
        assert (told[bars >= 2] == STRUCK[2]).all()


def test_drums_alone_are_the_least_dense_music_without_a_pitch(score_of):
    codec = codecs.build("metrical", conditions=True)
    ids = codec.encode(score_of([(480 * k, 120, 36, 100, 0) for k in range(8)], tracks=(Track(9, True),)))
    assert (measured_of(codec, ids)[0] == columns(1)).all()


def test_a_note_four_bars_later_is_in_the_next_window(score_of):
    """7/3 + 4 bars is a little more than 19/3 bars as floats: eighths in 3/8, all C but the one at 19/3 bars."""
    assert 14 / 6 + 4 > 38 / 6
    rows = [(240 * k, 240, 67 if k == 19 else 60, 80, 0) for k in range(24)]
    codec = codecs.build("chorale", conditions=True)
    told, bars = measured_of(codec, codec.encode(score_of(rows, meter=(3, 8))))
    assert (told[bars == 14 / 6] == columns(6, C=8)).all()  # 3 a bar
    assert (told[bars == 16 / 6] == columns(6, C=8, G=4)).all()  # one of 12


def level_of(density):
    """The level of a density, by trying all borders between levels."""
    borders = [0.5 * 2 ** ((k + 0.5) / 2) for k in range(15)]
    return 1 + sum(density > border for border in borders)


def share_level(share):
    if share == 0:
        return 1
    return 2 + sum(share >= edge for edge in (0.03, 0.07, 0.11, 0.16, 0.22, 0.32))


def test_random_walks_against_a_loop(codec, random_walk):
    vocabulary = codec.grammar.vocabulary
    for seed in range(3):
        ids = random_walk(codec.grammar, np.random.default_rng(seed), 60)
        told, bars = measured_of(codec, ids)
        events = [vocabulary.event(int(id_)) for id_ in ids]
        notes = [
            (bar, event.value) for bar, event in zip(bars, events, strict=True) if event.kind in ("NOTE_ON", "PITCH")
        ]
        for bar, row in zip(bars, told, strict=True):
            start = min(bar, max(bars[-1] - 4, 0))
            near = [pitch for at, pitch in notes if start - 1e-6 <= at < start + 4 - 1e-6]
            shares = [sum(pitch % 12 == k for pitch in near) / max(len(near), 1) for k in range(12)]
            density = len(near) / min(max(bars[-1], 1), 4)
            assert row.tolist() == [level_of(density), *(share_level(share) for share in shares)]


@pytest.mark.parametrize("seed", range(3))
def test_what_was_measured_can_be_asked_for(codec, phrase, seed):
    """A piece no longer than the window is all alike: its own density and histogram ask for just what it is."""
    ids = codec.encode(phrase(3, seed))
    told, bars = measured_of(codec, ids)
    pitches = codec.decode(ids).notes["pitch"]
    histogram = np.bincount(pitches % 12, minlength=12)
    assert (told == conditions.asked(len(pitches) / bars[-1], histogram.tolist())).all()


@pytest.mark.parametrize("semitones", [-5, 3])
def test_transposing_turns_the_histogram(codec, phrase, semitones):
    ids = codec.encode(phrase(6))
    told, moved = (measured_of(codec, x)[0] for x in (ids, codec.augment(ids, semitones)))
    assert (moved[:, 0] == told[:, 0]).all()
    assert (moved[:, 1:] == np.roll(told[:, 1:], semitones, axis=1)).all()


def test_columns_stay_within_their_sizes(codec, random_walk):
    sizes = np.array(list(codec.grammar.column_sizes.values()))
    assert len(sizes) == len(codec.grammar.feature_sizes) + 13
    ids = random_walk(codec.grammar, np.random.default_rng(0), 50)
    states = codec.grammar.trajectory(ids)
    context = codec.grammar.context(states)
    told = conditions.measured(codec.grammar, ids, states)
    assert told.min() >= 1
    assert (told < sizes[-13:]).all()
    assert context.columns.shape == (len(ids), len(sizes))
    assert (context.columns < sizes).all()


def test_a_context_is_the_features_and_nothing_told(codec, phrase):
    plain = codecs.build(codec.name, **{key: value for key, value in codec.options.items() if key != "conditions"})
    states = codec.grammar.trajectory(codec.encode(phrase()))
    features, context = codec.grammar.features(states), codec.grammar.context(states)
    assert context.columns.dtype == features.columns.dtype
    assert np.array_equal(context.columns[:, :-13], features.columns)
    assert not context.columns[:, -13:].any()
    assert np.array_equal(context.flags, features.flags)
    assert np.array_equal(plain.grammar.context(states).columns, features.columns)
    assert plain.grammar.column_sizes == plain.grammar.feature_sizes == codec.grammar.feature_sizes
    assert not plain.grammar.conditions


def test_an_option_only_where_it_is_wanted(codec):
    """What older folders and corpora record stays as it was."""
    assert codec.options["conditions"] is True
    without = {key: value for key, value in codec.options.items() if key != "conditions"}
    assert codecs.build(codec.name, **without, conditions=False).options == without
    assert codecs.build(codec.name, **without).options == without


@pytest.mark.parametrize("name", ["frames", "TSD"])
def test_other_encodings_have_none(name):
    with pytest.raises(ConfigError, match=r"conditions=True: .* has no such option"):
        codecs.build(name, conditions=True)


@pytest.mark.parametrize(
    ("density", "level"),
    [(1e-9, 1), (0.5, 1), (0.59, 1), (0.6, 2), (1, 3), (2, 5), (4, 7), (16, 11), (64, 15), (90, 16), (1000, 16)],
)
def test_levels_of_density(density, level):
    assert conditions.asked(density, None).tolist() == [level, *[0] * 12]
    assert math.isclose(level, 1 + 2 * math.log2(max(density, 0.5) / 0.5), abs_tol=0.5) or level in (1, 16)


@pytest.mark.parametrize(
    ("share", "level"),
    [
        (0, 1),
        (0.001, 2),
        (0.03, 3),
        (0.069, 3),
        (0.07, 4),
        (0.11, 5),
        (0.16, 6),
        (0.22, 7),
        (0.319, 7),
        (0.32, 8),
        (1, 8),
    ],
)
def test_levels_of_a_share(share, level):
    told = conditions.asked(None, [0, share, 1 - share, *[0] * 9])
    assert told[:2].tolist() == [0, 1]
    assert told[2] == level


def test_only_the_proportions_of_weights_count():
    weights = np.array([3, 0, 2, 0, 2, 1, 0, 3, 0, 2, 0, 1])
    assert np.array_equal(conditions.asked(None, weights), conditions.asked(None, (weights / 140).tolist()))


def test_nothing_asked_is_nothing_told():
    told = conditions.asked(None, None)
    assert told.dtype == np.int16
    assert told.tolist() == [0] * 13 == [0] * len(conditions.SIZES)
