"""Songs that end on the bar line or the second asked for: what still fits, and what no longer does."""

import numpy as np
import pytest

from lstmusic.events import codec as codecs
from lstmusic.events import metrical_vocabulary as v
from lstmusic.events.melody_vocabulary import METERS

INF = np.inf
# One song each: bars and seconds
ASKED = np.array(
    [(1, INF), (2, INF), (4, INF), (7, INF), (2.5, INF), (INF, 0.5), (INF, 3.1), (INF, 3.1), (3, 2.0), (1, 20.0)]
).T


def write(codec, draw, seed, asked=ASKED):
    """Songs drawn evenly from what fits, and closed where they are full: the ids of each, up to its EOS group."""
    grammar, rng = codec.grammar, np.random.default_rng(seed)
    state, written = grammar.start(asked.shape[1]), []
    while not (done := grammar.finished(state)).all():
        left = [wanted - now for wanted, now in zip(asked, grammar.length(state), strict=True)]
        fits = grammar.allowed(state) & (grammar.within(state, *left) | done[:, None])
        mask = np.where(grammar.full(state, *left)[:, None], grammar.closing(state), fits)
        written.append(draw(rng, grammar.vocabulary, mask, by_kind=bool(seed % 2)))
        grammar.advance(state, written[-1])
        assert len(written) < 20000, "songs do not end"
    songs = np.stack(written, axis=1)
    groups = songs.reshape(len(songs), -1, grammar.group_size)[:, :, 0]
    ends = np.argmax(groups == codec.vocabulary.id("EOS"), axis=1) + 1
    return [np.r_[grammar.bos(), ids[: end * grammar.group_size]] for ids, end in zip(songs, ends, strict=True)]


def step_s(codec, ids):
    """The seconds of one step of the grid."""
    value = {e.kind: e.value for e in map(codec.vocabulary.event, ids.tolist()) if e.kind == "TEMPO"}
    return {
        "chorale": lambda: 60 / 4 / (24 * 10 ** (value["TEMPO"] / 63)),
        "melody": lambda: 60 / 12 / value["TEMPO"],
        "frames": lambda: 0.25,
        "performance": lambda: 0.01,
    }[codec.name]()


def last_sound_s(codec, score):
    """When the last note ends, drums aside, and the pedal in a performance."""
    drum = np.array([track.drum for track in score.tracks])
    notes = score.notes[~drum[score.notes["track"]]]
    ends = [*(notes["onset_tick"] + notes["duration_tick"]), *score.pedals["tick"], 0]
    return float(score.seconds(np.array([max(ends)]))[0])


@pytest.mark.parametrize("seed", [0, 1], ids=["by id", "by kind"])
def test_songs_end_where_they_were_asked_to(codec, draw, seed):
    for bars, seconds, ids in zip(*ASKED, write(codec, draw, seed), strict=True):
        codec.grammar.check(ids)
        score = codec.decode(ids)
        if codec.name != "chorale" or codec.vocabulary.is_kind("PITCH", ids[8:12]).any():  # silence first is left out
            assert codec.encode(score).tolist() == ids.tolist()
        long, long_s = (float(now) for now in codec.grammar.length(codec.grammar.trajectory(ids)[-1]))
        sound_s = last_sound_s(codec, score)
        if codec.name == "metrical":  # its bars are whole: what is asked within one only ends the notes there
            assert long == int(long)
            assert long == np.ceil(bars) or (seconds < INF and long < np.ceil(bars))
            assert sound_s <= seconds + 1e-3
            continue
        assert long == pytest.approx(bars, abs=1e-9) if seconds == INF else long <= bars + 1e-9
        if long < bars - 1e-9:
            assert -1e-9 < seconds - long_s < step_s(codec, ids) + 1e-9
        assert long_s <= seconds + 1e-9
        if codec.name != "frames":  # which may end in a silence
            assert sound_s == pytest.approx(long_s, abs=1e-3)


def test_metrical_music_sounds_until_the_place_in_the_bar_and_not_beyond(draw):
    for grouped in (True, False):
        codec = codecs.build("metrical", grouped=grouped)
        for bars, seconds, ids in zip(*ASKED, write(codec, draw, 1), strict=True):
            if seconds < INF:
                continue
            groups = codec._to_groups(ids)
            kind, value = v.KIND[groups[:, 1]], v.VALUE[groups]
            step, _ = codec._steps(kind, value)
            note = (kind == v.PROGRAM) & (value[:, 1] != v.DRUM_KIT)
            lines, meter = step[kind == v.METER], value[kind == v.METER, 1]
            whole = int(bars)
            end = lines[whole] + (bars - whole) * v.BAR_STEPS[meter[whole]]
            assert (step[note] + v.DURATION_STEPS[value[note, 3]]).max(initial=0) <= end
            assert step[kind == v.PROGRAM].max() < end


def test_without_a_limit_everything_fits(codec, random_walk):
    grammar = codec.grammar
    state = grammar.trajectory(random_walk(grammar, np.random.default_rng(0), 40))
    assert grammar.within(state, INF, INF).all()
    assert not grammar.full(state, INF, INF).any()


def test_of_both_limits_the_nearer_counts_in_every_shape(codec, random_walk):
    grammar, rng = codec.grammar, np.random.default_rng(1)
    state = grammar.trajectory(random_walk(grammar, rng, 40))
    bars, seconds = 3 * rng.random((2, len(state))) ** 6  # often next to nothing
    full = grammar.full(state, bars, INF) | grammar.full(state, INF, seconds)
    assert np.array_equal(grammar.full(state, bars, seconds), full)
    both = grammar.within(state, bars, seconds)
    assert np.array_equal(both[~full], (grammar.within(state, bars, INF) & grammar.within(state, INF, seconds))[~full])
    assert full.any() and not both.all()  # there is something to see
    shape = (-1, grammar.group_size)
    wide = grammar.within(state.reshape(shape), bars.reshape(shape), seconds.reshape(shape))
    assert np.array_equal(wide.reshape(both.shape), both)
    for k in range(0, len(state), 7):
        assert np.array_equal(grammar.within(state[k], bars[k], seconds[k]), both[k])
        assert grammar.full(state[k], bars[k], seconds[k]) == full[k]


def fitting(codec, events, kind, *, bars=INF, seconds=INF):
    """The values of a kind that fit after these events."""
    grammar = codec.grammar
    state = grammar.start(1)
    for event in events:
        grammar.advance(state, np.array([grammar.vocabulary.id(*event)]))
    ids = np.flatnonzero((grammar.allowed(state) & grammar.within(state, bars, seconds))[0])
    return {e.value for e in map(grammar.vocabulary.event, ids) if e.kind == kind}


STRIKE = [("VELOCITY", 9), ("NOTE_ON", 60)]


@pytest.mark.parametrize(
    ("events", "seconds", "longest"),
    [
        (STRIKE, 0.3, 30),
        (STRIKE, 1.3, 100),
        ([*STRIKE, ("TIME_SHIFT", 100)], 0.3, 30),
        ([*STRIKE, ("TIME_SHIFT", 5), ("NOTE_OFF", 60)], 0.3, 29),  # a silence leaves time for one more note
        ([*STRIKE, ("TIME_SHIFT", 5), ("NOTE_OFF", 60)], 0.01, 0),
        ([*STRIKE, ("TIME_SHIFT", 5), ("NOTE_OFF", 60), ("NOTE_ON", 60)], 0.01, 1),
    ],
)
def test_shifts_in_a_performance(events, seconds, longest):
    shifts = fitting(codecs.build("performance"), events, "TIME_SHIFT", seconds=seconds)
    assert shifts == set(range(1, longest + 1))


TUNE = [("METER", 0), ("KEY", 0), ("TEMPO", 120), ("POSITION", 0), ("PITCH", 60), ("DURATION", 24)]


@pytest.mark.parametrize(
    ("events", "kind", "bars", "values"),
    [
        ([*TUNE, ("PITCH", 62)], "DURATION", 0.5, set(range(1, 25))),
        ([*TUNE, ("REST", 0)], "DURATION", 0.5, set(range(1, 24))),  # the tune ends with a note
        (TUNE, "REST", 1 / 48, set()),
        (TUNE, "REST", 2 / 48, {0}),
        (TUNE, "METER", 0.5, {0}),  # half a bar is past: a new meter would fill it up, and nothing would be left
        (TUNE, "METER", 1.5, set(range(len(METERS)))),
        (TUNE, "EOS", 0.5, set()),
    ],
)
def test_what_fits_into_a_melody(events, kind, bars, values):
    assert fitting(codecs.build("melody"), events, kind, bars=bars) == values


def test_a_pickup_takes_nothing_off_the_bars_of_a_melody():
    pickup = [*TUNE[:3], ("POSITION", 36), ("PITCH", 60)]
    assert fitting(codecs.build("melody"), pickup, "DURATION", bars=1) == set(range(1, 61))


COMMON = v.METERS.index((4, 4))
BAR = [("BAR", 0), ("METER", COMMON), ("KEY", 0)]
TEMPO = [("POSITION", 0), ("TEMPO", 120)]
NOTE = [("PROGRAM", 40), ("PITCH", 60)]
LONG = int(np.flatnonzero(v.DURATION_STEPS == 84)[0])  # of two bars all but a quarter


def steps(values):
    return max(v.DURATION_STEPS[list(values)])


def test_what_fits_into_metrical_music():
    codec = codecs.build("metrical", grouped=False)
    begun = [*BAR, *TEMPO, *NOTE]
    assert steps(fitting(codec, begun, "DURATION", bars=1)) == 48
    assert steps(fitting(codec, begun, "DURATION", bars=0.5)) == 24
    assert steps(fitting(codec, begun, "DURATION", seconds=0.5)) == 12
    assert (
        steps(fitting(codec, begun, "DURATION", bars=2)) == 90
    )  # the last bar's note comes while nothing sounds, if need be
    struck = [*begun, ("DURATION", LONG), ("VELOCITY", 9)]
    assert fitting(codec, struck, "POSITION", bars=0.25) == set(range(1, 12))
    assert fitting(codec, struck, "BAR", bars=2) == {0}
    assert fitting(codec, struck, "EOS", bars=2) == set()
    assert (
        fitting(codec, [*BAR, *TEMPO, *NOTE, ("DURATION", 0), ("VELOCITY", 9), *BAR], "BAR", bars=1) == set()
    )  # no note yet
    meters = fitting(codec, [*struck, ("BAR", 0)], "METER", bars=1)  # 36 steps sound on, and one is left free
    assert {v.BAR_STEPS[m] for m in meters} == {b for b in v.BAR_STEPS if b > 36}
    tempi = fitting(codec, [*struck, ("POSITION", 24)], "TEMPO", seconds=2.5)  # 60 steps
    assert min(tempi) == 122


def test_the_last_step_of_a_chorale_sounds():
    codec = codecs.build("chorale")
    header = [("METER", 0), ("POSITION", 0), ("TEMPO", 9), ("KEY", 24)]
    holds = [("HOLD", 0)] * 3
    for bars, kinds in ((1 / 16, set()), (2 / 16, {0})):
        assert fitting(codec, [*header, *holds], "HOLD", bars=bars) == kinds
    sung = [*header, ("PITCH", 60), *holds, ("HOLD", 0), *holds[:2]]
    assert fitting(codec, sung, "HOLD", bars=1 / 16) == {0}
    bass = [*header, *holds, ("PITCH", 40), *holds]
    assert fitting(codec, bass, "HOLD", bars=1 / 16) == {0}
    assert fitting(codec, bass, "REST", bars=1 / 16) == set()
    assert fitting(codec, bass, "REST", bars=2 / 16) == {0}


def test_the_last_key_of_frames_without_a_note_is_struck():
    codec = codecs.build("frames")
    silence = [("FIRST", 0)] * 87
    assert fitting(codec, silence, "FIRST", bars=1 / 8) == {1}
    assert fitting(codec, silence, "FIRST", bars=2 / 8) == {0, 1}
    assert fitting(codec, [("FIRST", 1), *silence[1:]], "FIRST", bars=1 / 8) == {0, 1}
