"""What is given of any piece of the metrical encoding comes out, whatever is drawn; and all that fits may be drawn."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstmusic.events import codec as codecs
from lstmusic.events import metrical_vocabulary as v
from lstmusic.events.given import NONE
from lstmusic.score.score import KEY_DTYPE, METER_DTYPE, NOTE_DTYPE, TEMPO_DTYPE, Score, Track, sorted_notes

GROUPED, FLAT = codecs.build("metrical"), codecs.build("metrical", grouped=False)
FORMS = pytest.mark.parametrize("codec", [GROUPED, FLAT], ids=["grouped", "flat"])
QUICK = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
TRACKS = (Track(0), Track(40), Track(127), Track(9, True), Track(0, True))
STEP = 40  # ticks
IDS_FREE = 100  # so many are drawn freely, then the shortest way to the end


def piece(rows, *, tempi=(), meters=(), keys=(), pickup=0):
    """A Score of rows (onset, duration, pitch, velocity, track) and of rows of its maps, all in steps, twelve a quarter."""
    maps = {"tempi": (tempi, TEMPO_DTYPE), "meters": (meters, METER_DTYPE), "keys": (keys, KEY_DTYPE)}
    tables = {name: np.array([tuple(row) for row in rows_], dtype) for name, (rows_, dtype) in maps.items()}
    notes = sorted_notes(np.array([tuple(row) for row in rows], NOTE_DTYPE))
    return Score(notes, TRACKS, **tables, ticks_per_quarter=v.STEPS_PER_QUARTER, pickup_tick=pickup)


@st.composite
def pieces(draw):
    """Few steps, pitches and lengths, so that notes meet: in unison, nested, tied over bar lines; maps that change."""
    last = draw(st.sampled_from([3, 48, 120]))
    step = st.one_of(st.integers(0, last), st.integers(0, last // 12).map(lambda quarter: 12 * quarter))
    pitch = st.one_of(st.sampled_from([0, 60, 61, 127]), st.integers(0, 127))
    length = st.one_of(st.sampled_from([1, 12, 48, 384]), st.integers(1, 60))
    note = st.tuples(step, length, pitch, st.sampled_from([1, 64, 127]), st.integers(0, len(TRACKS) - 1))
    rows = draw(st.lists(note, min_size=1, max_size=16))
    meter = st.sampled_from([(4, 4), (3, 8), (5, 16), (2, 4), (8, 4)])
    key = st.tuples(st.integers(0, 11), st.booleans())
    return piece(
        rows + draw(st.lists(st.sampled_from(rows), max_size=4)),
        tempi=sorted(draw(st.dictionaries(step, st.integers(200_000, 900_000), max_size=4)).items()),
        meters=sorted((t, *m) for t, m in draw(st.dictionaries(step, meter, max_size=3)).items()),
        keys=sorted((t, *k) for t, k in draw(st.dictionaries(step, key, max_size=3)).items()),
        pickup=draw(st.sampled_from([0, 0, 3, 12, 40])),
    )


@st.composite
def gaps(draw, codec):
    """The ids of a piece and a gap in its ticks: anywhere, between bar lines, from the beginning, to the end, all of it."""
    ids = codec.encode(draw(pieces()))
    score = codec.decode(ids)
    end = max(int(score.bar_ticks()[-1]), score.end_tick)
    tick = st.one_of(st.integers(0, end), st.sampled_from(score.bar_ticks().tolist()))
    first, last = sorted([draw(st.one_of(st.just(0), tick)), draw(st.one_of(st.just(end), tick))])
    return ids, first, max(last, first + 1)


def rows_of(score):
    """Every note as (onset, duration, pitch, velocity, program), drums as program 128; sorted."""
    programs = [128 if track.drum else track.program for track in score.tracks]
    return sorted((n[0], n[1], n[2], n[3], programs[n[4]]) for n in score.notes.tolist())


def programs_of(score):
    """Those that have notes, drums as program 128."""
    return {row[4] for row in rows_of(score)}


def outside(score, start, end):
    """The notes that sound at any time outside start..end, in ticks."""
    return [row for row in rows_of(score) if row[0] < start or row[0] + row[1] > end]


def after(codec, ids, rows=1):
    """The state of songs that have all written these ids."""
    state = codec.grammar.start(rows)
    for id_ in ids[codec.group_size :]:
        codec.grammar.advance(state, np.full(rows, id_))
    return state


# What songs draw: how much each id is wanted, of those that may come
def wanted(way, rng, vocabulary):
    """float [V]"""
    even = rng.random(len(vocabulary)) + 1
    if way == "even":
        return even
    if way == "kinds":
        return even + 2 * rng.permutation(len(vocabulary.ranges))[v.KIND]
    if way == "lowest":
        return -np.arange(len(vocabulary), dtype=float)
    if way == "highest":
        return np.arange(len(vocabulary), dtype=float)
    onwards = v.KIND == v.POSITION  # the next bar, the end or the last position
    return even + 1000.0 * np.isin(v.KIND, (v.BAR, v.EOS)) + np.where(onwards, 10 + v.VALUE, 0)


WAYS = ("even", "kinds", "lowest", "highest", "onwards")


def written_anew(codec, given_, seed):
    """A song for each way to draw; all that has to hold on the way is checked."""
    grammar, rng = codec.grammar, np.random.default_rng(seed)
    state, ids = after(codec, given_.prefix, len(WAYS)), []
    was_free = np.zeros(len(WAYS), bool)
    while not grammar.finished(state).all():
        mask, opened = given_.mask(state), given_.open(state)
        latest = given_.latest(state, mask)
        stands = np.flatnonzero(latest != NONE)
        assert mask[stands, latest[stands]].all(), "what may not come stands for others"
        assert mask.any(axis=1).all(), f"dead end after {[codec.vocabulary.event(int(i)) for i in ids[-1]]}"
        assert not (mask & ~grammar.allowed(state)).any()
        assert (mask.sum(axis=1) == 1)[~opened].all()
        was_free |= mask.sum(axis=1) > 1
        ways = WAYS if len(ids) < IDS_FREE else ["onwards"] * len(WAYS)
        wants = np.stack([wanted(way, rng, codec.vocabulary) for way in ways])
        ids.append(np.where(mask, wants, -np.inf).argmax(axis=1))
        grammar.advance(state, ids[-1])
        if len(ids) == v.GROUP_SIZE and given_.free.onsets().size:
            assert was_free.all(), "something was forced after the prefix"
        assert len(ids) < 20 * IDS_FREE, "songs do not end"
    songs = np.stack(ids, axis=1)
    ends = np.argmax(songs == v.EOS, axis=1) + codec.group_size
    return [np.concatenate([given_.prefix, song[:end]]) for song, end in zip(songs, ends, strict=True)]


@FORMS
@QUICK
@given(data=st.data(), seed=st.integers(0, 999))
def test_what_is_given_comes_out_whatever_is_drawn(codec, data, seed):
    ids, start, end = data.draw(gaps(codec))
    before, given_ = codec.decode(ids), codec.given(ids, start, end)
    for song in written_anew(codec, given_, seed):
        codec.grammar.check(song)
        score = codec.decode(song)
        assert outside(score, start, end) == outside(before, start, end)
        assert programs_of(score) <= programs_of(before)
        assert score.pickup_tick == before.pickup_tick
        for name in ("tempi", "meters", "keys"):
            assert np.array_equal(getattr(score, name), getattr(before, name)), name
        assert np.sum(song == v.BAR) == np.sum(ids == v.BAR)
        assert outside(score.canonical(), start, end) == outside(
            before.canonical(), start, end
        )  # a file keeps them too


def overlaps(row, others):
    """Whether a note sounds together with one of its program and pitch."""
    return any(
        row[2] == other[2] and row[4] == other[4] and row[0] < other[0] + other[1] and other[0] < row[0] + row[1]
        for other in others
    )


@FORMS
@QUICK
@given(data=st.data(), seed=st.integers(0, 999))
def test_all_notes_that_fit_may_come(codec, data, seed):
    """Groups of given notes, of those of the piece that fit, and of others drawn anywhere in the gap."""
    ids, start, end = data.draw(gaps(codec))
    score, rng = codec.decode(ids), np.random.default_rng(seed)
    kept = outside(score, start, end)
    unison = {row[0] for row in kept if kept.count(row) > 1}
    onsets, bins = rng.integers(start // STEP, end // STEP + 1, 12) * STEP, 2 + 4 * rng.integers(0, 32, 12)
    lengths = v.DURATION_STEPS[rng.integers(0, 8, 12)] * STEP
    drawn = list(zip(onsets, lengths, rng.choice([0, 60, 127], 12), bins, rng.choice([0, 40, 128], 12), strict=True))
    fits = [
        row
        for row in drawn + rows_of(score)
        if row[4] in programs_of(score)
        and row[0] >= start
        and row[0] + row[1] <= end
        and row[0] not in unison
        and not overlaps(row, kept)
    ]
    groups = codec._to_groups(ids)
    step, first = codec._steps(v.KIND[groups[:, 1]], v.VALUE[groups])
    line = step[-1]
    others = np.flatnonzero(v.KIND[groups[:, 1]] != v.PROGRAM)
    lines = step[v.KIND[groups[:, 0]] == v.BAR]
    rows = []
    for onset, length, pitch, velocity, program in kept + fits:
        at = onset // STEP + first
        if at >= line:
            continue
        position = at - lines[np.searchsorted(lines, at, side="right") - 1]
        key = v.FIRST[v.DRUM] if program == 128 else v.FIRST[v.PITCH]
        long = np.searchsorted(v.DURATION_STEPS, length // STEP)
        note = position, program, pitch, long, velocity // 4 + 1
        zero = v.FIRST[v.POSITION], v.FIRST[v.PROGRAM], key, v.FIRST[v.DURATION], v.FIRST[v.VELOCITY] - 1
        members = np.array(note) + np.array(zero)
        rows.append(((at, 2, *note[1:]), members))
    rows += [((step[k], int(v.KIND[groups[k, 0]] != v.BAR)), groups[k]) for k in others]
    song = codec._to_ids(np.array([members for _, members in sorted(rows, key=lambda row: tuple(map(int, row[0])))]))
    bars = np.searchsorted(lines, [onset // STEP + first for onset, *_ in kept + fits], side="right")
    if not {1, len(lines) - 1} <= set(bars.tolist()):
        return  # the first bar and the last have to hold a note
    codec.grammar.check(song)
    given_ = codec.given(ids, start, end)
    assert given_.prefix.tolist() == song[: len(given_.prefix)].tolist()
    states = codec.grammar.trajectory(song)[len(given_.prefix) :]
    mask = given_.mask(states)
    came = mask[np.arange(len(states)), song[len(given_.prefix) :].astype(np.int64)]
    assert came.all(), codec.vocabulary.event(int(song[len(given_.prefix) + np.argmin(came)]))
