"""Controls: what they leave of a mask, that they never leave nothing, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmusic.errors import ConfigError
from lstmusic.evaluation import voice_leading
from lstmusic.events import codec as codecs
from lstmusic.events.conditions import asked
from lstmusic.events.kinds import struck_pitches
from lstmusic.sampling.controls import BoundControls, Controls
from lstmusic.sampling.infill import infill
from lstmusic.sampling.settings import SamplingSettings

SONGS = 3


def steered(grammar, controls, groups=60, seed=0):
    """Songs drawn evenly from what controls leave: the controls, ids [groups * G, B], and how often a control gave way."""
    rng, bound = np.random.default_rng(seed), BoundControls(controls, grammar)
    where, ids, overruled = grammar.start(SONGS), [], np.zeros(SONGS, np.int64)
    for _ in range(groups * grammar.group_size):
        mask = grammar.allowed(where)
        mask[:, grammar.vocabulary.id("EOS")] &= mask.sum(axis=1) == 1
        logits, left, gave_way = bound.adjust(np.zeros(mask.shape), mask, where)
        assert left.any(axis=1).all()
        assert not (left & ~mask).any()
        overruled += gave_way
        ids.append(np.where(left, logits + rng.random(mask.shape), -np.inf).argmax(axis=1))
        grammar.advance(where, ids[-1])
    return np.array(ids), overruled


def pitches_of(grammar, ids):
    pitches = struck_pitches(grammar.vocabulary)[ids]
    return pitches[pitches >= 0]


def adjusted(codec, controls, events, where=None):
    """Which of these events a first id may be, where they are all that the grammar allows."""
    vocabulary = codec.vocabulary
    mask = np.zeros((1, len(vocabulary)), bool)
    ids = [vocabulary.id(*event) for event in events]
    mask[:, ids] = True
    _, left, _ = BoundControls(controls, codec.grammar).adjust(
        np.zeros(mask.shape), mask, codec.grammar.start(1) if where is None else where
    )
    return left[0, ids].tolist()


def test_without_controls_nothing_is_touched(codec):
    logits, mask = np.zeros((1, len(codec.vocabulary))), codec.grammar.allowed(codec.grammar.start(1))
    bound = BoundControls(Controls(), codec.grammar)
    same = bound.adjust(logits, mask, codec.grammar.start(1))
    assert same[0] is logits and same[1] is mask
    assert bound.columns is None and not same[2].any()


def test_a_key_forbids_the_notes_outside_it():
    events = [("PITCH", 60), ("PITCH", 61), ("PITCH", 68), ("HOLD",), ("REST",)]
    chorale = codecs.build("chorale")
    assert adjusted(chorale, Controls(key="C"), events) == [True, False, False, True, True]
    assert adjusted(chorale, Controls(key="a"), events) == [True, False, True, True, True]
    assert adjusted(chorale, Controls(key="1,8"), events) == [False, True, True, True, True]


def test_a_weight_makes_notes_outside_the_key_rarer_instead():
    melody = codecs.build("melody")
    bound = BoundControls(Controls(key="C", key_weight=2.5), melody.grammar)
    mask = np.ones((2, len(melody.vocabulary)), bool)
    before = np.arange(mask.size, dtype=np.float64).reshape(mask.shape)
    logits, left, _ = bound.adjust(before, mask, melody.grammar.start(2))
    first = melody.vocabulary.slice_of("PITCH").start
    taken = (before - logits)[:, first : first + 12]
    assert taken.tolist() == [[0, 2.5, 0, 2.5, 0, 0, 2.5, 0, 2.5, 0, 2.5, 0]] * 2
    assert left[:, melody.vocabulary.slice_of("PITCH")].all()
    assert (before - logits).sum() == 2.5 * 2 * sum(p % 12 in (1, 3, 6, 8, 10) for p in range(128))


def test_parallels_become_rarer_by_so_many_nats():
    """Soprano and bass sing G4-C3, the soprano goes on to A4: the bass is not to follow her to a D or an E."""
    chorale = codecs.build("chorale")
    vocabulary, where = chorale.vocabulary, chorale.grammar.start(2)
    header = [("METER", 0), ("POSITION", 0), ("TEMPO", 9), ("KEY", 24)]
    for event in [*header, *(("PITCH", p) for p in (67, 64, 60, 48)), ("PITCH", 69), ("HOLD",), ("HOLD",)]:
        chorale.grammar.advance(where, np.full(2, vocabulary.id(*event)))
    mask = chorale.grammar.allowed(where)
    before = np.arange(mask.size, dtype=np.float64).reshape(mask.shape)
    expected = np.zeros(len(vocabulary))
    expected[[vocabulary.id("PITCH", p) for p in (50, 62, 76, 88)]] = 2.5
    bound = BoundControls(Controls(parallels=2.5), chorale.grammar)
    logits, left, overruled = bound.adjust(before, mask, where)
    assert (before - logits).tolist() == [expected.tolist()] * 2
    assert left is mask and not overruled.any()
    with_key = BoundControls(Controls(parallels=2.5, key="F#", key_weight=1.0), chorale.grammar)
    pitch = struck_pitches(vocabulary)
    outside = (pitch >= 0) & np.isin(pitch % 12, [0, 2, 4, 7, 9])
    assert (before - with_key.adjust(before, mask, where)[0])[0].tolist() == (expected + outside).tolist()


def test_songs_of_some_weight_have_no_parallels(steered_model):
    def parallels(weight):
        songs = steered_model.generate(2, seed=1, length_bars=4, cadence=False, controls=Controls(parallels=weight))
        faults = voice_leading.parallel_fifths, voice_leading.parallel_octaves
        return sum(fault(song.score) for song in songs for fault in faults)

    assert parallels(None) == parallels(0.0) > 0
    assert parallels(30.0) == 0


def test_parallels_of_given_voices_weigh_on_what_was_written_before_them(steered_model):
    """Under a soprano of which one bar is free, alto and bass go from G4-C3 to A4-D3: seven nats less for every way."""
    codec = steered_model.codec
    header = [("METER", 0), ("POSITION", 0), ("TEMPO", 30), ("KEY", 24)]
    held, chord = [("HOLD",)] * 4, [("PITCH", p) for p in (72, 67, 60, 48)]
    moved = [("HOLD",), ("PITCH", 69), ("HOLD",), ("PITCH", 50)]
    steps = [chord, *[held] * 15, [("PITCH", 72), *held[1:]], *[held] * 3, moved, *[held] * 11]
    ids = [codec.vocabulary.id(*event) for step in [[("BOS",)] * 4, header, *steps, [("EOS",)] * 4] for event in step]
    given = codec.given(np.array(ids), 0, 1920, codec.grammar.voices[1:])
    how = {"settings": SamplingSettings(), "particles": 1}
    (way,), (other,) = (
        infill(steered_model.model, codec.grammar, given, [np.random.default_rng(0)], controls=controls, **how)
        for controls in (None, Controls(parallels=7.0))
    )
    assert way.ids.tolist() == other.ids.tolist()
    assert other.forced_nats - way.forced_nats == pytest.approx(7.0)


@pytest.mark.parametrize(("encoding", "unknown", "first"), [("chorale", 24, 0), ("melody", 24, 0), ("metrical", 0, 1)])
def test_the_key_that_is_written_is_the_one_asked_for(encoding, unknown, first):
    codec = codecs.build(encoding)
    events = [("KEY", unknown), ("KEY", first), ("KEY", first + 7), ("KEY", first + 12 + 9)]
    assert adjusted(codec, Controls(key="G"), events) == [False, False, True, False]
    assert adjusted(codec, Controls(key="a", key_weight=1), events) == [False, False, False, True]
    assert adjusted(codec, Controls(key="C dorian"), events) == [True, True, True, True]


@pytest.mark.parametrize("encoding", ["chorale", "melody", "metrical"])
def test_a_song_stays_in_the_key_it_states(encoding):
    grammar = codecs.build(encoding).grammar
    ids, overruled = steered(grammar, Controls(key="G"))
    keys = ids[grammar.vocabulary.is_kind("KEY", ids)]
    assert len(keys) and set(keys) == {grammar.vocabulary.id("KEY", 7 + (encoding == "metrical"))}
    assert set(pitches_of(grammar, ids) % 12) == {0, 2, 4, 6, 7, 9, 11}
    assert not overruled.any()


def test_each_voice_has_its_range():
    grammar = codecs.build("chorale").grammar
    ids, overruled = steered(grammar, Controls(ranges={"bass": (40, 50), "Soprano": (72, 72), "all": (60, 70)}))
    found = [pitches_of(grammar, ids[voice::4]) for voice in range(4)]
    assert [(p.min(), p.max()) for p in found] == [(72, 72), (60, 70), (60, 70), (40, 50)]
    assert not overruled.any()


@pytest.mark.parametrize("encoding", ["melody", "metrical", "performance"])
def test_one_range_for_all(encoding):
    grammar = codecs.build(encoding).grammar
    ids, overruled = steered(grammar, Controls(ranges={"ALL": (55, 67)}), groups=150)
    assert set(pitches_of(grammar, ids)) <= set(range(55, 68))
    assert len(pitches_of(grammar, ids)) > 20 and not overruled.any()


@pytest.mark.parametrize("limit", [1, 2])
@pytest.mark.parametrize("encoding", ["chorale", "melody", "metrical", "performance"])
def test_at_most_so_many_notes_at_a_time(encoding, limit):
    codec = codecs.build(encoding)
    ids, overruled = steered(codec.grammar, Controls(polyphony=limit), groups=150)
    assert not overruled.any()
    for song in ids.T:
        score = codec.decode(np.r_[codec.grammar.bos(), song])
        drums = np.array([track.drum for track in score.tracks])[score.notes["track"]]
        notes = score.notes[~drums]
        start, end = notes["onset_tick"], notes["onset_tick"] + notes["duration_tick"]
        at_once = ((start[:, None] <= start) & (end[:, None] > start)).sum(axis=0)
        assert len(notes) > 5 and at_once.max() <= limit


def test_a_velocity_comes_only_where_a_note_can():
    performance = codecs.build("performance")
    events = [("VELOCITY", 9), ("NOTE_ON", 61), ("TIME_SHIFT", 3)]
    assert adjusted(performance, Controls(key="C"), events) == [False, False, True]
    assert adjusted(performance, Controls(key="Db"), events) == [True, True, True]
    assert adjusted(performance, Controls(key="C"), events[:1]) == [True]  # the first of a piece


def test_where_a_control_would_leave_nothing_it_gives_way_and_is_counted():
    grammar = codecs.build("melody").grammar
    vocabulary = grammar.vocabulary
    mask = np.zeros((3, len(vocabulary)), bool)
    mask[0, vocabulary.id("PITCH", 61)] = True
    mask[1, [vocabulary.id("PITCH", 60), vocabulary.id("PITCH", 61)]] = True
    mask[2, vocabulary.id("PITCH", 90)] = True
    before = mask.copy()
    bound = BoundControls(Controls(key="C", ranges={"all": (48, 60)}), grammar)
    _, left, overruled = bound.adjust(np.zeros(mask.shape), mask, grammar.start(3))
    assert [np.flatnonzero(row).tolist() for row in left] == [
        [vocabulary.id("PITCH", 61)],
        [vocabulary.id("PITCH", 60)],
        [vocabulary.id("PITCH", 90)],
    ]
    assert overruled.tolist() == [2, 0, 2]
    assert (mask == before).all()


KEYS = st.sampled_from([None, "C", "f#", "Eb blues", "3", "0,6"])
RANGES = st.tuples(st.integers(24, 96), st.integers(0, 40)).map(lambda r: {"all": (r[0], min(r[0] + r[1], 127))})


@settings(max_examples=25, deadline=None)
@given(
    encoding=st.sampled_from(["chorale", "melody", "metrical", "performance"]),
    key=KEYS,
    ranges=st.one_of(st.just({}), RANGES),
    polyphony=st.one_of(st.none(), st.integers(1, 4)),
    seed=st.integers(0, 999),
)
def test_whatever_is_asked_something_legal_is_left(encoding, key, ranges, polyphony, seed):
    grammar = codecs.build(encoding).grammar
    try:
        controls = Controls(key=key, ranges=ranges, polyphony=polyphony)
        ids, overruled = steered(grammar, controls, groups=25, seed=seed)  # which asserts it
    except ConfigError as error:
        assert "no pitch lies in it" in str(error)
        return
    if not overruled.any() and ranges:
        low, high = ranges["all"]
        assert all(low <= pitch <= high for pitch in pitches_of(grammar, ids))


def test_conditions_are_asked_of_a_model_that_has_them():
    grammar = codecs.build("melody", conditions=True).grammar
    bound = BoundControls(Controls(density=6.0, guidance=3.0), grammar)
    assert bound.columns.tolist() == asked(6.0, None).tolist()
    assert bound.guidance == 3.0
    for name, value in {"density": 6.0, "pitch_classes": (1.0,) * 12}.items():
        with pytest.raises(ConfigError, match=rf"^control\.{name}: .*encoding\.conditions=true"):
            BoundControls(Controls(**{name: value}), codecs.build("melody").grammar)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"key": "H"}, r"control\.key=H: expected"),
        ({"key_weight": 1.0}, r"control\.key_weight=1\.0: expected control\.key"),
        ({"key": "C", "key_weight": -1.0}, r"control\.key_weight=-1\.0"),
        ({"ranges": {"Bass": (60, 50)}}, r"control\.range\.Bass=\[60, 50\]: expected"),
        ({"ranges": {"Bass": (60, 128)}}, r"control\.range\.Bass=\[60, 128\]: expected"),
        ({"ranges": {"Bass": (60,)}}, r"control\.range\.Bass=\[60\]: expected"),
        ({"polyphony": 0}, r"control\.polyphony=0: expected"),
        *(({"parallels": w}, r"control\.parallels=.*: expected nats from 0") for w in (-1.0, np.nan, np.inf)),
        *(
            ({"density": d}, r"control\.density=.*: expected notes per bar, above 0")
            for d in (0.0, -1.0, np.nan, np.inf)
        ),
        *(({"pitch_classes": (1.0,) * n}, r"control\.pitch_classes=\[.*expected 12 weights") for n in (11, 13)),
        ({"pitch_classes": (0.0,) * 12}, r"control\.pitch_classes=\[.*one of them above it"),
        ({"pitch_classes": (*(1.0,) * 11, -0.1)}, r"control\.pitch_classes=\[.*expected weights from 0"),
        ({"pitch_classes": (*(1.0,) * 11, np.nan)}, r"control\.pitch_classes=\[.*expected weights from 0"),
        ({"guidance": -0.5}, r"control\.guidance=-0\.5: expected"),
        ({"guidance": float("nan")}, r"control\.guidance=nan: expected"),
    ],
)
def test_what_no_encoding_could_follow_is_refused_at_once(wrong, message):
    with pytest.raises(ConfigError, match=message):
        Controls(**wrong)


@pytest.mark.parametrize(
    ("encoding", "controls", "message"),
    [
        ("frames", {"key": "C"}, "no id of this encoding strikes a pitch"),
        ("frames", {"polyphony": 2}, "no id of this encoding strikes a pitch"),
        *(
            (name, {"parallels": 5}, r"control.parallels=5: this encoding has no voices")
            for name in ("frames", "melody")
        ),
        ("chorale", {"ranges": {"Tenr": (40, 60)}}, "range.Tenr: .*expected one of Soprano, Alto, Tenor, Bass, all"),
        ("melody", {"ranges": {"Bass": (40, 60)}}, "range.Bass: .*expected one of all"),
        ("chorale", {"ranges": {"all": (0, 23)}}, r"range.Soprano=\[0, 23\]: no pitch lies in it.* 24 to 96"),
        ("melody", {"key": "C", "ranges": {"all": (61, 61)}}, "no pitch lies in it.*in the key"),
    ],
)
def test_what_this_encoding_cannot_follow_is_refused(encoding, controls, message):
    with pytest.raises(ConfigError, match=message):
        BoundControls(Controls(**controls), codecs.build(encoding).grammar)
