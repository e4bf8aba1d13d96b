"""MIDI files <-> Score: as a plain loop reads them, and back, also through pretty_midi; damage has a name."""

import io
import os
import tarfile
from pathlib import Path

import mido
import numpy as np
import pretty_midi
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstmusic.errors import OutputError, ReadError
from lstmusic.score import Score, Track, midi
from lstmusic.score.remarks import Remarks
from lstmusic.score.score import (
    KEY_DTYPE,
    METER_DTYPE,
    NOTE_DTYPE,
    PEDAL_DTYPE,
    TEMPO_DTYPE,
    settled,
    settled_pedals,
    sorted_notes,
    table,
)

EXAMPLES = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def on(tick, pitch, velocity=80, channel=0):
    return mido.Message("note_on", time=tick, note=pitch, velocity=velocity, channel=channel)


def off(tick, pitch, channel=0):
    return mido.Message("note_off", time=tick, note=pitch, channel=channel)


def program(tick, number, channel=0):
    return mido.Message("program_change", time=tick, program=number, channel=channel)


def meta(tick, kind, **values):
    return mido.MetaMessage(kind, time=tick, **values)


def write_events(path: Path, *tracks: list, ticks_per_quarter: int = 480, charset: str = "utf-8") -> Path:
    """A MIDI file of events at absolute ticks, in the order given at one tick."""
    file = mido.MidiFile(ticks_per_beat=ticks_per_quarter, charset=charset)
    for events in tracks:
        last, track = 0, mido.MidiTrack()
        for event in sorted(events, key=lambda event: event.time):
            track.append(event.copy(time=event.time - last))
            last = event.time
        file.tracks.append(track)
    file.save(path)
    return path


def raw_file(body: bytes, division: int = 480) -> bytes:
    """A MIDI file of one track with these bytes, one note, and an end."""
    body += b"\x00\x90\x3c\x40\x05\x80\x3c\x00\x00\xff\x2f\x00"
    head = b"MThd\x00\x00\x00\x06\x00\x01\x00\x01" + division.to_bytes(2, "big")
    return head + b"MTrk" + len(body).to_bytes(4, "big") + body


def brief(score: Score) -> list[tuple[int, int, int, int, int]]:
    return score.notes.tolist()


@pytest.mark.parametrize(
    ("events", "notes"),
    [
        ([on(0, 60, 1), on(2, 60, 2), off(4, 60), off(10, 60)], [(0, 4, 60, 1, 0), (2, 8, 60, 2, 0)]),
        ([on(0, 60, 1), on(5, 60, 2), off(5, 60), off(9, 60)], [(0, 5, 60, 1, 0), (5, 4, 60, 2, 0)]),
        ([on(0, 60, 1), off(5, 60), on(5, 60, 2), off(9, 60)], [(0, 5, 60, 1, 0), (5, 4, 60, 2, 0)]),
        ([on(0, 60, 1), on(0, 60, 0), on(7, 61, 2), off(9, 61)], [(0, 1, 60, 1, 0), (7, 2, 61, 2, 0)]),
        ([on(0, 60, 1), on(3, 62, 2), off(9, 62)], [(0, 9, 60, 1, 0), (3, 6, 62, 2, 0)]),
        ([on(0, 60, 1), on(4, 60, 2), off(6, 60), off(9, 61)], [(0, 6, 60, 1, 0), (4, 5, 60, 2, 0)]),
        (
            [on(0, 60, 1), on(4, 60, 2), on(6, 60, 3), off(9000, 60)],
            [(0, 9000, 60, 1, 0), (4, 2, 60, 2, 0), (6, 1920, 60, 3, 0)],
        ),
        ([off(0, 60), on(3, 62, 2), off(9, 62)], [(3, 6, 62, 2, 0)]),
    ],
    ids=[
        "nested",
        "on before off",
        "off before on",
        "no length",
        "no end",
        "second without end",
        "ends at the next",
        "no beginning",
    ],
)
def test_notes_are_paired_first_in_first_out(tmp_path, events, notes):
    assert brief(midi.read(write_events(tmp_path / "a.mid", events))) == notes


def test_a_track_is_a_midi_track_channel_and_program(tmp_path):
    first = [
        meta(0, "track_name", name="Erste Flöte"),
        *(program(0, 73, 3), on(0, 60, 80, 3), program(1, 74, 3), off(2, 60, 3), on(3, 61, 80, 3), off(4, 61, 3)),
        *(on(0, 64, 80, 2), off(4, 64, 2), on(0, 36, 99, 9), off(1, 36, 9)),
    ]
    silent = [meta(0, "track_name", name="silent"), program(0, 5)]
    second = [on(0, 60), off(4, 60)]
    score = midi.read(write_events(tmp_path / "a.mid", first, silent, second))
    assert score.tracks == (
        Track(0, False, "Erste Flöte"),
        Track(73, False, "Erste Flöte"),
        Track(74, False, "Erste Flöte"),
        Track(0, True, "Erste Flöte"),
        Track(0, False, ""),
    )
    assert score.notes["track"].tolist() == [0, 1, 3, 4, 2]


def test_maps_are_taken_from_every_track(tmp_path):
    conductor = [meta(0, "set_tempo", tempo=400_000), meta(0, "time_signature", numerator=3, denominator=4)]
    notes = [
        meta(0, "set_tempo", tempo=300_000),
        meta(960, "set_tempo", tempo=300_000),
        meta(1440, "time_signature", numerator=6, denominator=8),
        meta(0, "key_signature", key="F#m"),
        meta(1440, "key_signature", key="Cb"),
        *(on(0, 60), off(1920, 60)),
    ]
    score = midi.read(write_events(tmp_path / "a.mid", conductor, notes))
    assert score.tempi.tolist() == [(0, 300_000)]
    assert score.meters.tolist() == [(0, 3, 4), (1440, 6, 8)]
    assert score.keys.tolist() == [(0, 6, True), (1440, 11, False)]


def test_the_last_of_many_meters_at_one_tick_holds(tmp_path):
    meters = [meta(0, "time_signature", numerator=n, denominator=4) for n in range(1, 60)]
    assert midi.read(write_events(tmp_path / "a.mid", [*meters, on(0, 60), off(9, 60)])).meters.tolist() == [(0, 59, 4)]


def test_a_name_in_latin_1(tmp_path):
    events = [meta(0, "track_name", name="Flöte"), on(0, 60), off(9, 60)]
    assert midi.read(write_events(tmp_path / "a.mid", events, charset="latin1")).tracks[0].name == "Flöte"


@pytest.mark.parametrize(
    "event",
    [
        b"\x00\xff\x59\x02\x09\x00",  # nine sharps
        b"\x00\xff\x59\x02\x00\x07",  # neither major nor minor
        b"\x00\xff\x58\x04\x04\xff\x18\x08",  # 4 over 2 ** 255
        b"\x00\xff\x58\x04\x00\x02\x18\x08",  # 0/4
        b"\x00\xff\x51\x03\x00\x00\x00",  # no time at all
        b"\x00\xff\x51\x01\x07",  # a third of a tempo
    ],
)
def test_what_midi_cannot_mean_is_dropped(tmp_path, event):
    (tmp_path / "odd.mid").write_bytes(raw_file(event))
    score = midi.read(tmp_path / "odd.mid")
    assert brief(score) == [(0, 5, 60, 64, 0)]
    assert score.tempi.tolist() == [(0, 500_000)]
    assert score.meters.tolist() == [(0, 4, 4)]
    assert score.keys.tolist() == []


def test_what_is_mended_and_left_out_is_counted(tmp_path):
    first = [
        *(on(0, 60), off(0, 60), on(1, 62), program(0, 5, 3), meta(3, "lyrics", text="la")),
        *(mido.Message("control_change", time=0, control=c, value=127, channel=3) for c in (7, 64)),
        *(mido.Message("pitchwheel", time=2, pitch=9), mido.Message("aftertouch", time=2, value=9)),
    ]
    remarks = Remarks()
    midi.read(write_events(tmp_path / "a.mid", first, [on(0, 64, 80, 3), off(9, 64, 3)]), remarks)
    assert remarks.repairs == {"notes without an end given one": 1, "notes without a length given one tick": 1}
    assert remarks.losses == {
        "controller changes left out": 1,
        "pitch bends left out": 1,
        "aftertouch left out": 1,
        "lyrics and markers left out": 1,
        "pedal changes without notes left out": 1,
        "program changes without notes left out": 1,
    }


def test_a_data_byte_out_of_range_is_clipped(tmp_path):
    (tmp_path / "odd.mid").write_bytes(raw_file(b"\x00\x90\xbc\x40\x05\x80\xbc\x00"))
    assert brief(midi.read(tmp_path / "odd.mid")) == [(0, 5, 127, 64, 0), (5, 5, 60, 64, 0)]


NO_NOTES = b"MThd\x00\x00\x00\x06\x00\x01\x00\x01\x01\xe0MTrk\x00\x00\x00\x04\x00\xff\x2f\x00"
DAMAGED = {
    "page.mid": b"<!DOCTYPE html><html>not found</html>",
    "empty.mid": b"",
    "noise.mid": np.random.default_rng(0).bytes(4000),
    "torn.mid": raw_file(b"")[:-6],
    "header.mid": raw_file(b"")[:20],
    "smpte.mid": raw_file(b"", division=0xE728),
    "zero.mid": raw_file(b"", division=0),
    "silent.mid": NO_NOTES,
    "endless.mid": raw_file(
        b"\x00\x91\x3c\x40" + b"\xff\xff\xff\x7f\x91\x3d\x00" * 6 + b"\xff\xff\xff\x7f\x81\x3c\x00"
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_has_a_name(tmp_path, name):
    (tmp_path / name).write_bytes(DAMAGED[name])
    with pytest.raises(ReadError) as refused:
        midi.read(tmp_path / name)
    assert name in str(refused.value)
    assert "expected" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_time_of_a_hundred_bytes_is_refused(tmp_path):
    (tmp_path / "endless.mid").write_bytes(raw_file(b"\x00\x91\x3c\x40" + b"\xff" * 100 + b"\x7f\x81\x3c\x00"))
    with pytest.raises(ReadError, match=r"endless\.mid: track 1: damaged at its byte 4"):
        midi.read(tmp_path / "endless.mid")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_gives_a_score_or_a_read_error(tmp_path, data):
    content = bytearray(_bytes_of(tmp_path, EVERYTHING))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "mutated.mid"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        assert len(midi.read(path).notes)
    except ReadError as error:
        assert "mutated.mid" in str(error)


EVERYTHING = Score(
    notes=np.array(
        [(0, 960, 60, 80, 0), (0, 1, 36, 127, 1), (1, 1, 60, 1, 2), (2, 5, 60, 90, 2), (3, 479, 60, 91, 2)], NOTE_DTYPE
    ),
    tracks=(Track(40, False, "Erste Geige"), Track(0, True, "太鼓"), Track(127, False, "")),
    tempi=table(TEMPO_DTYPE, [0, 7, 480], [500_000, 333_333, 16_777_215]),
    meters=table(METER_DTYPE, [0, 120], [3, 7], [4, 8]),
    keys=table(KEY_DTYPE, [0, 480], [6, 8], [False, True]),
    ticks_per_quarter=480,
    pickup_tick=120,
    pedals=table(PEDAL_DTYPE, [0, 5, 7, 3], [0, 0, 0, 2], [True, False, True, True]),
    texts=((0, '{"seed": 7}'), (480, "Fine"), (480, "long " * 40)),
)


def _bytes_of(folder: Path, score: Score) -> bytes:
    midi.write(score, folder / "written.mid")
    return (folder / "written.mid").read_bytes()


def test_everything_is_written_and_read_back(tmp_path):
    path = tmp_path / "all.mid"
    midi.write(EVERYTHING, path)
    score = midi.read(path)
    assert score == EVERYTHING.canonical()
    assert score.texts == EVERYTHING.texts
    assert Score.from_pretty_midi(pretty_midi.PrettyMIDI(str(path))).pickup_tick == 120
    assert [file.name for file in tmp_path.iterdir()] == ["all.mid"]


def test_the_same_score_gives_the_same_bytes(tmp_path):
    assert _bytes_of(tmp_path, EVERYTHING) == _bytes_of(tmp_path, EVERYTHING)


def test_forty_tracks(tmp_path):
    tracks = tuple(Track(k % 20, k == 30, f"part {k}") for k in range(40))
    notes = np.array([(0, 480, 60, 80, k) for k in range(40)], NOTE_DTYPE)
    score = Score(notes, tracks).canonical()
    midi.write(score, tmp_path / "forty.mid")
    assert midi.read(tmp_path / "forty.mid") == score
    assert midi.from_pretty_midi(midi.to_pretty_midi(score)) == score


def test_a_place_that_cannot_be_written(tmp_path):
    with pytest.raises(OutputError, match=r"out\.mid"):
        midi.write(EVERYTHING, tmp_path / "missing" / "out.mid")
    (tmp_path / "folder.mid").mkdir()
    with pytest.raises(OutputError, match=r"folder\.mid"):
        midi.write(EVERYTHING, tmp_path / "folder.mid")
    assert [file.name for file in tmp_path.iterdir()] == ["folder.mid"]


def test_music_too_long_for_midi(tmp_path):
    score = Score(np.array([(2**30, 1, 60, 80, 0)], NOTE_DTYPE), (Track(),))
    with pytest.raises(OutputError, match=r"long\.mid: the music lasts"):
        midi.write(score, tmp_path / "long.mid")
    with pytest.raises(ValueError, match="pretty_midi holds"):
        midi.to_pretty_midi(score)


def test_what_pretty_midi_writes_has_the_same_tempi_and_notes(tmp_path):
    midi.to_pretty_midi(EVERYTHING).write(str(tmp_path / "pretty.mid"))
    score = midi.read(tmp_path / "pretty.mid")
    expected = EVERYTHING.canonical()
    for name in ("notes", "tempi", "meters", "keys", "pedals"):
        assert np.array_equal(getattr(score, name), getattr(expected, name)), name
    assert score.tracks == expected.tracks
    assert score.pickup_tick == 120


@st.composite
def scores(draw) -> Score:
    tracks = draw(
        st.lists(st.builds(Track, st.integers(0, 127), st.booleans(), st.text(max_size=8)), min_size=1, max_size=4)
    )
    # few pitches and short spans, so that notes overlap, touch and coincide
    onset = st.one_of(st.integers(0, 30), st.integers(0, 100_000))
    duration = st.one_of(st.integers(1, 9), st.integers(1, 10_000))
    note = st.tuples(
        onset, duration, st.sampled_from([0, 60, 61, 127]), st.integers(1, 127), st.integers(0, len(tracks) - 1)
    )
    tick = st.integers(0, 50_000)
    tempi = draw(
        st.lists(st.tuples(tick, st.one_of(st.integers(100_000, 2_000_000), st.integers(1, 0xFFFFFF))), max_size=9)
    )
    meters = draw(st.lists(st.tuples(tick, st.integers(1, 255), st.sampled_from([1, 2, 4, 8, 16, 32, 64])), max_size=4))
    keys = draw(st.lists(st.tuples(tick, st.integers(0, 11), st.booleans()), max_size=4))
    pedals = draw(st.lists(st.tuples(tick, st.integers(0, len(tracks) - 1), st.booleans()), max_size=6))
    return Score(
        notes=sorted_notes(np.array(draw(st.lists(note, min_size=1, max_size=20)), NOTE_DTYPE)),
        pedals=settled_pedals(np.array(pedals, PEDAL_DTYPE)),
        tracks=tuple(tracks),
        tempi=settled(np.array(tempi, TEMPO_DTYPE), 500_000),
        meters=settled(np.array(meters, METER_DTYPE), 4, 4),
        keys=settled(np.array(keys, KEY_DTYPE)),
        ticks_per_quarter=draw(st.one_of(st.sampled_from([1, 220, 480, 1024]), st.integers(1, 32_767))),
        pickup_tick=draw(st.one_of(st.just(0), st.integers(0, 2000))),
        texts=tuple(
            draw(st.lists(st.tuples(st.just(0), st.text(st.characters(codec="ascii"), max_size=9)), max_size=2))
        ),
    )


@pytest.mark.parametrize("tick", range(45, 60))
def test_the_time_after_a_pickup_is_no_digit_of_it(tmp_path, tick):
    """A delta time of 48 to 57 ticks is the byte of a digit."""
    score = Score(
        table(NOTE_DTYPE, [0], 100, 60, 80, 0),
        (Track(),),
        meters=table(METER_DTYPE, [0, tick], [4, 3], 4),
        ticks_per_quarter=24,
        pickup_tick=1,
    )
    midi.write(score, tmp_path / "any.mid")
    assert midi.read(tmp_path / "any.mid").pickup_tick == 1


@EXAMPLES
@given(scores())
def test_any_score_is_written_and_read_back(tmp_path, score):
    path = tmp_path / "any.mid"
    if max(score.end_tick, 50_000) > midi.longest_tick(score.ticks_per_quarter):
        return
    midi.write(score, path)
    read = midi.read(path)
    assert read == score.canonical()
    assert read.texts == score.canonical().texts


@EXAMPLES
@given(scores())
def test_any_score_goes_through_pretty_midi(score):
    again = midi.from_pretty_midi(midi.to_pretty_midi(score))
    assert again == score
    assert again.texts == score.texts


@st.composite
def event_lists(draw) -> list[list]:
    """Well-formed MIDI tracks that do everything a file may do with notes: hang, nest, repeat, change program."""
    tick, channel, pitch = st.integers(0, 40), st.sampled_from([0, 1, 9]), st.integers(60, 61)
    event = st.one_of(
        st.builds(on, tick, pitch, st.integers(0, 127), channel),
        st.builds(off, tick, pitch, channel),
        st.builds(program, tick, st.integers(0, 3), channel),
        st.builds(lambda t, us: meta(t, "set_tempo", tempo=us), tick, st.integers(0, 3)),
        st.builds(lambda t, n: meta(t, "time_signature", numerator=n, denominator=4), tick, st.integers(0, 3)),
        st.builds(lambda t, key: meta(t, "key_signature", key=key), tick, st.sampled_from(["C", "Am", "Cb", "A#m"])),
        st.builds(lambda t, name: meta(t, "track_name", name=name), tick, st.text(max_size=4)),
    )
    return draw(st.lists(st.lists(event, max_size=40), min_size=1, max_size=3))


def plain_notes(path: Path) -> list[tuple]:
    """Notes by a plain loop over mido's events: (onset, duration, pitch, velocity, MIDI track, channel, program)."""
    notes = []
    file = mido.MidiFile(path, clip=True)
    for number, track in enumerate(file.tracks):
        tick, program, sounding, unended = 0, [0] * 16, {}, []
        for event in track:
            tick += event.time
            if event.type == "program_change":
                program[event.channel] = event.program
            elif event.type == "note_on" and event.velocity:
                for waiting in unended:
                    if waiting[1:3] == [event.channel, event.note]:
                        waiting[3] = min(waiting[3], tick)
                row = [tick, event.channel, event.note, 2**60, event.velocity, program[event.channel]]
                sounding.setdefault((event.channel, event.note), []).append(row)
            elif event.type in ("note_on", "note_off") and sounding.get((event.channel, event.note)):
                row = sounding[event.channel, event.note].pop(0)
                row[3] = tick
                notes.append((row, number))
            unended = [row for rows in sounding.values() for row in rows]
        for row in unended:
            row[3] = min(row[3], tick, row[0] + 4 * file.ticks_per_beat)
            notes.append((row, number))
    return sorted(
        (onset, max(end - onset, 1), pitch, velocity, number, channel, program)
        for (onset, channel, pitch, end, velocity, program), number in notes
    )


def read_notes(path: Path) -> list[tuple]:
    """What `plain_notes` gives, without the MIDI track and channel, which a Score does not tell."""
    score = midi.read(path)
    return sorted((*row[:4], score.tracks[row[4]].program) for row in score.notes.tolist())


@EXAMPLES
@given(event_lists())
def test_notes_are_those_of_a_plain_loop(tmp_path, tracks):
    path = write_events(tmp_path / "any.mid", *tracks, [on(0, 72), off(4, 72)])
    expected = plain_notes(path)
    assert read_notes(path) == sorted((*row[:4], row[6]) for row in expected)
    parts = sorted({row[4:] for row in expected})
    assert [(track.program, track.drum) for track in midi.read(path).tracks] == [(p, c == 9) for _, c, p in parts]


@EXAMPLES
@given(event_lists())
def test_any_well_formed_file_is_written_and_read_back(tmp_path, tracks):
    path = write_events(tmp_path / "any.mid", *tracks, [on(0, 72), off(4, 72)])
    score = midi.read(path)
    assert score == score.canonical()
    midi.write(score, path)
    assert midi.read(path) == score
    assert midi.from_pretty_midi(midi.to_pretty_midi(score)) == score


@pytest.mark.parametrize("archive", ["nottingham/nottingham.tar.xz", "pop909/pop909.tar.xz"])
def test_real_files(tmp_path, archive):
    place = Path(os.environ.get("LSTMUSIC_DATA_DIR", "")) / archive
    if "LSTMUSIC_DATA_DIR" not in os.environ or not place.is_file():
        pytest.skip(f"no {archive} in $LSTMUSIC_DATA_DIR")
    path, count = tmp_path / "real.mid", 0
    with tarfile.open(fileobj=io.BytesIO(place.read_bytes())) as files:
        for member in files:
            if member.name.endswith(".mid") and count < 30:
                path.write_bytes(files.extractfile(member).read())
                assert read_notes(path) == sorted((*row[:4], row[6]) for row in plain_notes(path)), member.name
                score = midi.read(path)
                midi.write(score, path)
                assert midi.read(path) == score, member.name
                assert midi.from_pretty_midi(midi.to_pretty_midi(score)) == score, member.name
                count += 1
    assert count == 30
