"""What every encoding promises: legal, reversible, transposable."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstmusic.errors import ConfigError, IllegalSequenceError, ReadError, VocabularyError
from lstmusic.events import codec as codecs
from lstmusic.score.score import METER_DTYPE, NOTE_DTYPE, TEMPO_DTYPE, Score, Track, sorted_notes, table

CODECS = [
    codecs.build("chorale"),
    codecs.build("chorale", strikes=False),
    codecs.build("frames"),
    codecs.build("melody"),
    codecs.build("metrical"),
    codecs.build("metrical", grouped=False),
    codecs.build("performance"),
    codecs.build("performance", pedals=True),
]
NAMES = ["chorale", "canonical", "frames", "melody", "metrical", "flat", "performance", "pedals"]
WITH_DRUMS = ("metrical",)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def scores(draw):
    """Any music: overlaps, doubled notes, drums, odd resolutions, changes of tempo and meter."""
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(0, 9000),
                st.integers(1, 3000),
                st.one_of(st.integers(0, 127), st.integers(58, 62)),
                st.integers(1, 127),
                st.integers(0, 4),
            ),
            min_size=1,
            max_size=30,
        )
    )
    names = draw(st.sampled_from([("Soprano", "Alto", "Tenor", "Bass"), ("", "", "", ""), ("Bass", "Bass", "x", "y")]))
    tempi = draw(st.dictionaries(st.integers(0, 8000), st.integers(200_000, 2_000_000), max_size=3))
    meters = draw(
        st.dictionaries(st.integers(0, 8000), st.sampled_from([(4, 4), (3, 8), (5, 16), (11, 4)]), max_size=2)
    )
    tracks = (*(Track(0, False, name) for name in names), Track(0, True, "kit"))
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    numerators, denominators = ([meter[i] for _, meter in sorted(meters.items())] for i in (0, 1))
    return Score(
        sorted_notes(table(NOTE_DTYPE, *columns)),
        tracks,
        tempi=table(TEMPO_DTYPE, sorted(tempi), [tempi[tick] for tick in sorted(tempi)]),
        meters=table(METER_DTYPE, sorted(meters), numerators, denominators),
        ticks_per_quarter=draw(st.sampled_from([1, 7, 96, 480])),
        pickup_tick=draw(st.sampled_from([0, 0, 1, 240, 3000])),
    )


def encode_or_skip(codec, score):
    """The ids of a score; None where it holds no note that the encoding knows."""
    drum = np.array([track.drum for track in score.tracks])[score.notes["track"]]
    low, high = {"chorale": (24, 96), "frames": (21, 108)}.get(codec.name, (0, 127))
    drum &= codec.name not in WITH_DRUMS
    if ((score.notes["pitch"] >= low) & (score.notes["pitch"] <= high) & ~drum).any():
        return codec.encode(score)
    with pytest.raises(ReadError, match="no notes"):
        codec.encode(score)
    return None


@pytest.mark.parametrize("codec", CODECS, ids=NAMES)
@QUICK
@given(score=scores())
def test_any_music_becomes_legal_ids_that_decode_and_encode_to_themselves(codec, score):
    ids = encode_or_skip(codec, score)
    if ids is None:
        return
    assert ids.dtype == np.uint16
    codec.grammar.check(ids)
    eos = codec.vocabulary.id("EOS")
    assert (ids[-codec.group_size :] == eos).all()
    assert not (ids[: -codec.group_size] == eos).any()
    decoded = codec.decode(ids)
    assert len(decoded.notes) == codec.num_notes(ids) > 0
    again = codec.encode(decoded, losses := Counter())
    assert again.tolist() == ids.tolist()
    moved = {"meters left out", "keys left out", "tracks of one program merged"}
    assert {reason for reason, count in losses.items() if count} <= moved


@pytest.mark.parametrize("codec", CODECS, ids=NAMES)
@QUICK
@given(score=scores(), semitones=st.integers(-12, 12))
def test_transposing_there_and_back_changes_nothing(codec, score, semitones):
    ids = encode_or_skip(codec, score)
    if ids is None:
        return
    low, high = codec.transpositions(ids)
    assert low <= 0 <= high
    for shift in {low, high, int(np.clip(semitones, low, high))}:
        moved = codec.augment(ids, shift)
        codec.grammar.check(moved)
        before, after = codec.decode(ids), codec.decode(moved)
        expected = [0 if before.tracks[track].drum else shift for track in before.notes["track"]]
        assert (after.notes["pitch"].astype(int) - before.notes["pitch"]).tolist() == expected
        assert codec.augment(moved, -shift).tolist() == ids.tolist()
    for beyond in (low - 1, high + 1):
        with pytest.raises(VocabularyError):
            codec.augment(ids, beyond)


@pytest.mark.parametrize("codec", CODECS, ids=NAMES)
@QUICK
@given(score=scores(), where=st.floats(0, 1, exclude_max=True), what=st.integers(0, 2**16))
def test_check_finds_an_altered_id(codec, score, where, what):
    ids = encode_or_skip(codec, score)
    if ids is None:
        return
    ids = ids.astype(np.int64)
    at = int(where * len(ids))
    state = codec.grammar.trajectory(ids)
    forbidden = np.flatnonzero(~codec.grammar.allowed(state[at]))
    wrong = int(forbidden[what % len(forbidden)]) if at >= codec.group_size else codec.vocabulary.id("EOS")
    ids[at] = wrong
    with pytest.raises(IllegalSequenceError) as error:
        codec.grammar.check(ids)
    assert str(error.value) == f"position {at}: {codec.vocabulary.event(wrong)} is not allowed here"


def test_check_quotes_an_id_that_is_none(codec, phrase):
    ids = codec.encode(phrase()).astype(np.int64)
    for wrong in (-1, len(codec.vocabulary)):
        ids[9] = wrong
        with pytest.raises(IllegalSequenceError, match=f"position 9: id {wrong} is not allowed here"):
            codec.grammar.check(ids)


def test_nothing_may_come_after_the_end(codec, phrase):
    ids = codec.encode(phrase())
    twice = np.r_[ids, ids[-codec.group_size :]]
    with pytest.raises(IllegalSequenceError, match=f"position {len(ids)}: "):
        codec.grammar.check(twice)


def test_a_piece_may_stop_between_groups_only(codec, phrase):
    ids, group = codec.encode(phrase()), codec.group_size
    for stop in range(group, len(ids) + 1, group):
        codec.grammar.check(ids[:stop])
    broken = [ids[:0], *([ids[: group + 1]] if group > 1 else [])]
    for torn in broken:
        with pytest.raises(IllegalSequenceError):
            codec.grammar.check(torn)


def test_an_unfinished_piece_decodes_as_far_as_it_goes(codec, phrase):
    ids, group = codec.encode(phrase()), codec.group_size
    whole = codec.decode(ids)
    counts = []
    header = codec.name != "frames"  # one group that holds no music
    for stop in range((1 + header) * group, len(ids) + 1, group):
        notes = codec.decode(ids[:stop]).notes
        counts.append(len(notes))
        assert notes["onset_tick"].tolist() == whole.notes["onset_tick"][: len(notes)].tolist()
    assert counts == sorted(counts)
    assert counts[0] == 0
    assert counts[-1] == len(whole.notes)


def test_scored_ids_are_the_music(codec, phrase):
    ids = codec.encode(phrase())
    kinds = {codec.vocabulary.event(i).kind for i in ids[codec.scored(ids)]}
    assert not kinds & set(codec.unscored_kinds)
    assert set(codec.note_kinds) & kinds
    skipped = {codec.vocabulary.event(i).kind for i in ids[~codec.scored(ids)]}
    assert skipped <= set(codec.unscored_kinds)
    assert {"BOS", "EOS"} <= skipped


def test_build_gives_a_codec_back_from_its_name_and_options(codec):
    again = codecs.build(codec.name, **codec.options)
    assert (again.name, again.options, again.vocabulary) == (codec.name, codec.options, codec.vocabulary)


def test_build_names_what_it_knows():
    with pytest.raises(
        ConfigError, match="encoding=midi: expected one of chorale, frames, melody, metrical, performance"
    ):
        codecs.build("midi")
    with pytest.raises(
        ConfigError,
        match=r"^encoding\.grouped=True: performance has no such option, expected one of pedals, conditions$",
    ):
        codecs.build("performance", grouped=True)
    with pytest.raises(
        ConfigError, match=r"^encoding\.grouped=True: melody has no such option, expected one of conditions$"
    ):
        codecs.build("melody", grouped=True)


def test_music_without_a_note_is_a_read_error(codec):
    drums = Score(table(NOTE_DTYPE, [0], 10, 60, 80, 0), (Track(0, True),))
    nothing = Score(np.zeros(0, NOTE_DTYPE), ())
    with pytest.raises(ReadError, match="no notes: expected"):
        codec.encode(nothing)
    if codec.name in WITH_DRUMS:
        assert codec.num_notes(codec.encode(drums)) == 1
        return
    with pytest.raises(ReadError, match="no notes: expected"):
        codec.encode(drums, losses := Counter())
    assert losses["drum notes left out"] == 1


def test_contexts_and_repeats_look_back_only(codec, phrase):
    """What a baseline reads before an id does not change when that id or later ones do; the first column is coarsest."""
    group = codec.group_size
    one, two = (codec.encode(score).astype(np.int64) for score in (phrase(3, 1), phrase(3, 2)))
    for cut in range(2 * group, min(len(one), len(two)), group):
        other = np.r_[one[:cut], two[cut:]]
        assert codec.contexts(other)[: cut + 1].tolist() == codec.contexts(one)[: cut + 1].tolist()
        assert codec.repeats(other)[: cut + 1].tolist() == codec.repeats(one)[: cut + 1].tolist()
    contexts = codec.contexts(one)
    for coarse, fine in zip(contexts.T[:-1], contexts.T[1:], strict=True):
        assert len(np.unique(np.stack([coarse, fine]), axis=1).T) == len(np.unique(fine))


def test_repeats_of_music_that_repeats_are_right(codec, score_of):
    rows = [(480 * k, 480, 60 + (k % 4), 80, 0) for k in range(32)]  # one bar, eight times
    ids = codec.encode(score_of(rows)).astype(np.int64)
    repeated = codec.repeats(ids)
    assert repeated.shape == ids.shape
    middle = slice(len(ids) // 2, len(ids) - 4 * codec.group_size)
    assert repeated[middle].tolist() == ids[middle].tolist()
