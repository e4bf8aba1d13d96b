"""The bytes of a MIDI file -> tables of events: literal bytes, mido's own reading, repairs by name."""

import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmusic.errors import ReadError
from lstmusic.score import midi_events
from lstmusic.score.remarks import Remarks

END = b"\x00\xff\x2f\x00"


def file_of(*bodies: bytes, division: int = 480, announced: int | None = None) -> bytes:
    count = len(bodies) if announced is None else announced
    head = b"MThd\x00\x00\x00\x06\x00\x01" + count.to_bytes(2, "big") + division.to_bytes(2, "big")
    return head + b"".join(b"MTrk" + len(body).to_bytes(4, "big") + body for body in bodies)


def rows(*bodies: bytes, remarks: Remarks | None = None) -> list[tuple[int, int, int, int, int]]:
    events = midi_events.parse(file_of(*bodies), "x.mid", remarks or Remarks())
    return list(
        zip(
            *(column.tolist() for column in (events.tick, events.track, events.status, events.data1, events.data2)),
            strict=True,
        )
    )


def test_running_status_and_long_times():
    body = b"\x00\x90\x3c\x40" + b"\x81\x00\x3c\x00" + b"\xff\xff\xff\x7f\x80\x3c\x40" + END
    assert rows(body) == [(0, 0, 0x90, 60, 64), (128, 0, 0x90, 60, 0), (128 + 2**28 - 1, 0, 0x80, 60, 64)]


def test_each_track_has_its_own_clock_and_status():
    first = b"\x05\x91\x3c\x40" + END
    second = b"\x02\x82\x3d\x00" + b"\x01\x3e\x00" + END
    assert rows(first, b"", second) == [(5, 0, 0x91, 60, 64), (2, 2, 0x82, 61, 0), (3, 2, 0x82, 62, 0)]


def test_a_run_of_one_data_byte():
    """Pressure under running status: each value has its own time, and what follows is not late."""
    body = b"\x01\xd0\x10" + b"\x02\x11" + b"\x81\x00\x12" + b"\x03\x90\x3c\x40" + END
    assert [row[:4] for row in rows(body)] == [
        (1, 0, 0xD0, 0x10),
        (3, 0, 0xD0, 0x11),
        (131, 0, 0xD0, 0x12),
        (134, 0, 0x90, 60),
    ]


def test_metas_short_long_and_exclusive():
    text = b"\x00\xff\x01\x82\x2c" + b"x" * 300
    exclusive = b"\x07\xf0\x03\x01\x02\xf7" + b"\x00\xf0\x81\x00" + b"y" * 128
    tempo = b"\x01\xff\x51\x03\x07\xa1\x20"
    events = midi_events.parse(file_of(text + exclusive + tempo + END), "x.mid", Remarks())
    assert events.metas == [(0, 0, 1, b"x" * 300), (8, 0, 0x51, b"\x07\xa1\x20"), (8, 0, 0x2F, b"")]
    assert events.end_tick.tolist() == [8]
    assert len(events.tick) == 0


@pytest.mark.parametrize(
    ("body", "repair"),
    [
        (b"\x00\x90\x3c\x40", "missing ends of track"),
        (b"\x00\x90\x3c\x40" + END + b"\xff\xff\xff\xff", "bytes after the end of a track left out"),
        (b"\x00\x90\x3c\x40" + END + b"\x00\x90\x3d\x40" + END, "bytes after the end of a track left out"),
        (b"\x00\x90\xbc\x40" + END, "data bytes over 127 clipped"),
        (b"\x00\xf8" + b"\x00\x90\x3c\x40" + END, "system bytes left out"),
        (b"\x00\xf2\x01\x02" + b"\x00\x90\x3c\x40" + END, "system bytes left out"),
    ],
)
def test_what_is_mended_is_counted(body, repair):
    remarks = Remarks()
    assert len(rows(body, remarks=remarks)) == 1
    assert remarks.repairs == {repair: 1}


@pytest.mark.parametrize("tail", [b"\x00", b"\x00\x00", b"TAG and more", b"ID3tag", bytes(300), b"MTr"])
def test_bytes_after_the_last_track_are_left_out(tail):
    remarks = Remarks()
    events = midi_events.parse(file_of(b"\x00\x90\x3c\x40" + END) + tail, "x.mid", remarks)
    assert events.data1.tolist() == [60]
    assert remarks.repairs == {"bytes after the last track left out": 1}


@pytest.mark.parametrize("announced", [0, 1])
def test_tracks_that_the_header_does_not_announce_are_read(announced):
    remarks = Remarks()
    bodies = [b"\x00\x90\x3c\x40" + END, b"\x00\x90\x3d\x40" + END]
    assert midi_events.parse(file_of(*bodies, announced=announced), "x.mid", remarks).data1.tolist() == [60, 61]
    assert remarks.repairs == {"tracks that the header does not announce": 2 - announced}


def test_a_foreign_chunk_is_skipped():
    remarks = Remarks()
    whole = file_of(b"\x00\x90\x3c\x40" + END)
    events = midi_events.parse(whole[:14] + b"XFIH\x00\x00\x00\x02ab" + whole[14:], "x.mid", remarks)
    assert events.data1.tolist() == [60]
    assert remarks.repairs == {"foreign chunks skipped": 1}


@pytest.mark.parametrize("length", [0, 3, 9, 500, 2**32 - 1])
@pytest.mark.parametrize("number", [0, 1])
def test_a_wrong_track_length_is_corrected(length, number):
    bodies = [b"\x00\x90\x3c\x40" + END, b"\x00\x90\x3d\x40\x05\x80\x3d\x00" + END]
    content = bytearray(file_of(*bodies))
    at = 14 + number * (8 + len(bodies[0])) + 4
    content[at : at + 4] = length.to_bytes(4, "big")
    remarks = Remarks()
    assert midi_events.parse(bytes(content), "x.mid", remarks).data1.tolist() == [60, 61, 61]
    assert remarks.repairs == {"wrong track lengths corrected": 1}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "begins with"),
        (b"RIFF" + bytes(20), "begins with"),
        (file_of(END, division=0xE728), "time division"),
        (file_of(END, announced=2), "torn in track 2 of 2"),
        (file_of(b"\x00\x90\x3c\x40" + END)[:-5], "torn in track 1 of 1"),
        (file_of(b"\x00\x3c\x40" + END), "without a status"),
        (file_of(b"\x00\x90\x3c\x40\x00\xff\x80\x00" + END), "damaged at its byte 4"),
        (file_of(b"\x00\x90\x3c\x40\x00\xff\x01\x7fabc"), "damaged at its byte 4"),
        (file_of(b"\xff\xff\xff\xff\x7f\x90\x3c\x40" + END), "damaged at its byte 0"),
    ],
)
def test_damage_is_named(content, words):
    with pytest.raises(ReadError, match=rf"^x\.mid.*{words}.*expected") as refused:
        midi_events.parse(content, "x.mid", Remarks())
    assert "\n" not in str(refused.value)


MESSAGES = st.one_of(
    st.builds(
        mido.Message, st.sampled_from(["note_on", "note_off"]), note=st.integers(0, 127), channel=st.integers(0, 15)
    ),
    st.builds(mido.Message, st.just("control_change"), control=st.integers(0, 127), value=st.integers(0, 127)),
    st.builds(mido.Message, st.just("polytouch"), note=st.integers(0, 127), value=st.integers(0, 127)),
    st.builds(mido.Message, st.sampled_from(["program_change"]), program=st.integers(0, 127)),
    st.builds(mido.Message, st.sampled_from(["aftertouch"]), value=st.integers(0, 127)),
    st.builds(mido.Message, st.just("pitchwheel"), pitch=st.integers(-8192, 8191)),
    st.builds(mido.Message, st.just("sysex"), data=st.lists(st.integers(0, 127), max_size=200)),
    st.builds(mido.MetaMessage, st.just("text"), text=st.text(st.characters(codec="ascii"), max_size=300)),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(st.tuples(MESSAGES, st.integers(0, 2**28 - 1)), max_size=12), min_size=1, max_size=3),
    st.booleans(),
)
def test_events_are_those_of_mido(tracks, running):
    """Also where the status byte is left out wherever it may be."""
    bodies, expected = [], []
    for number, track in enumerate(tracks):
        body, tick, status = b"", 0, None
        for message, wait in track:
            tick += wait
            content = bytes(message.bytes())
            if message.type == "sysex":
                content = b"\xf0" + _quantity(len(content) - 1) + content[1:]
            if content[0] < 0xF0:
                expected.append((tick, number, *content))
                body += _quantity(wait) + content[running and content[0] == status :]
                status = content[0]
            else:
                body += _quantity(wait) + content
                status = None
        bodies.append(body + END)
    found = rows(*bodies)
    assert [row[: len(wanted)] for row, wanted in zip(found, expected, strict=True)] == expected


def _quantity(value: int) -> bytes:
    digits = [value & 127]
    while value := value >> 7:
        digits.append(value & 127 | 128)
    return bytes(reversed(digits))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_events_or_one_line(body):
    try:
        events = midi_events.parse(file_of(body), "x.mid", Remarks())
    except ReadError as error:
        assert str(error).startswith("x.mid")
    else:
        assert (events.data1 < 128).all() and (events.data2 < 128).all()
        assert (events.tick >= 0).all()
