"""Seeded damage to MIDI files, for tests and for whole folders:

    python tests/corpus/mutations.py FOLDER OUT --count 20000 --seed 0

writes OUT/00001-<kind>.mid and so on. The same seed and the same files give the same bytes.
"""

import argparse
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

LONGEST_DELTA = b"\xff\xff\xff\x7f"  # 2 ** 28 - 1, the largest time that MIDI can write
HEADER_BYTES = 14
MAX_SPAN = 400
TRACK = b"MTrk"
HARMLESS_LENGTH = 10  # of a span that stays inside one event or two
META_WITH_VALUES = re.compile(rb"\xff[\x51\x54\x58\x59]", re.DOTALL)
META = re.compile(rb"\xff[\x00-\x7f]", re.DOTALL)
STATUS = re.compile(rb"[\x80-\xef]")


def _place(rng: random.Random, data: bytes) -> int:
    """Anywhere after the header."""
    return rng.randrange(min(HEADER_BYTES, len(data) - 1), len(data))


def _found(rng: random.Random, pattern: re.Pattern | bytes, data: bytes) -> int:
    """Where one of the matches begins; anywhere if there is none."""
    places = [match.start() for match in re.finditer(pattern, data)]
    return rng.choice(places) if places else _place(rng, data)


def _replaced(data: bytes, at: int, what: bytes) -> bytes:
    return data[:at] + what + data[at + len(what) :]


def _inserted(data: bytes, at: int, what: bytes) -> bytes:
    return data[:at] + what + data[at:]


def bit_flips(rng: random.Random, data: bytes, other: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((1, 2, 8, 64))):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def bytes_overwritten(rng: random.Random, data: bytes, other: bytes) -> bytes:
    return _replaced(data, _place(rng, data), rng.randbytes(rng.randint(1, HARMLESS_LENGTH)))[: len(data)]


def truncated(rng: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def chunk_length(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """A track that says that it is shorter or longer than it is."""
    at = _found(rng, TRACK, data) + len(TRACK)
    true = int.from_bytes(data[at : at + 4], "big")
    lie = rng.choice((0, 1, true - 1, true + 1, true // 2, 2 * true, 2**31 - 1, 2**31, 2**32 - 1))
    return _replaced(data, at, (lie % 2**32).to_bytes(4, "big"))


def span_deleted(rng: random.Random, data: bytes, other: bytes) -> bytes:
    at = _place(rng, data)
    return data[:at] + data[at + rng.randint(1, MAX_SPAN) :]


def span_repeated(rng: random.Random, data: bytes, other: bytes) -> bytes:
    at = _place(rng, data)
    span = data[at : at + rng.randint(1, MAX_SPAN)]
    return _inserted(data, at, span * rng.choice((1, 1, 2, 50)))


def long_time(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Times of up to 2 ** 28 ticks, and some of more bytes than MIDI allows."""
    for _ in range(rng.choice((1, 1, 3, 20))):
        at = _found(rng, STATUS, data)
        time = rng.choice((LONGEST_DELTA, b"\x9f\xff\xff\x7f", b"\x81\x80\x80\x00", b"\xff" * 9 + b"\x7f"))
        data = data[: max(at - 1, 0)] + time + data[at:]
    return data


def running_status(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Status bytes that are missing, doubled or of another kind."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 3, 10))):
        at = _found(rng, STATUS, bytes(out))
        kind = rng.randrange(3)
        if kind == 0:
            del out[at]
        elif kind == 1:
            out[at:at] = out[at : at + 1]
        else:
            out[at] = rng.randrange(0x80, 0x100)
    return bytes(out)


def header(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Format, number of tracks, resolution, or the header's own length."""
    at, size = rng.choice(((4, 4), (8, 2), (10, 2), (12, 2)))
    value = rng.choice((0, 1, 2, 255, 2 ** (8 * size - 1) - 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1))
    return _replaced(data, at, value.to_bytes(size, "big"))


def meta_values(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Tempo, meter and key signatures of bytes that mean nothing."""
    for _ in range(rng.choice((1, 2, 5))):
        at = _found(rng, META_WITH_VALUES, data) + 3
        data = _replaced(data, at, bytes(rng.choice((0, 1, 127, 128, 255)) for _ in range(rng.randint(1, 5))))
    return data


def meta_length(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """A meta event that says that it is longer than the track, or than the file."""
    at = _found(rng, META, data) + 2
    return data[:at] + rng.choice((LONGEST_DELTA, b"\x7f", b"\xff\x7f", b"\x00", b"\x80" * 6)) + data[at + 1 :]


def spliced(rng: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: _place(rng, data)] + other[_place(rng, other) :]


def flood(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """A stretch of one byte, mostly 0xFF."""
    what = rng.choice((b"\xff", b"\xff", b"\x00", b"\x80", b"\x7f"))
    return _inserted(data, _place(rng, data), what * rng.choice((3, 100, 5000)))


def nested(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Headers of tracks or of whole files inside a track."""
    what = rng.choice((TRACK + b"\0\0\0\4", TRACK, b"MThd\0\0\0\6\0\1\0\2\1\xe0", other[: 10 * HEADER_BYTES]))
    for _ in range(rng.choice((1, 1, 30))):
        data = _inserted(data, _place(rng, data), what)
    return data


def mended(data: bytes) -> bytes:
    """The same bytes with lengths and a number of tracks that are true, so that a reader meets the damage inside them."""
    head, *tracks = data.split(TRACK)
    whole = (TRACK + len(track[4:]).to_bytes(4, "big") + track[4:] for track in tracks)
    return _replaced(head, 10, len(tracks).to_bytes(2, "big")) + b"".join(whole)


KINDS: dict[str, Callable[[random.Random, bytes, bytes], bytes]] = {
    kind.__name__: kind
    for kind in (
        *(bit_flips, bytes_overwritten, truncated, chunk_length, span_deleted, span_repeated, long_time),
        *(running_status, header, meta_values, meta_length, spliced, flood, nested),
    )
}


def mutation(files: Sequence[bytes], seed: int, number: int) -> tuple[str, bytes]:
    """Mutation `number` of a seed: the kind of damage, in turn, and the bytes of one of the files with it.

    Every fourth has two kinds of damage at once, named `first+second`; half of them all are `mended`.
    """
    rng = random.Random(f"{seed} {number}")
    names = [list(KINDS)[number % len(KINDS)]]
    if rng.random() < 0.25:
        names.append(rng.choice(list(KINDS)))
    data, other = rng.choice(files), rng.choice(files)
    for name in names:
        if len(data) > HEADER_BYTES:
            data = KINDS[name](rng, data, other)
    if rng.random() < 0.5:
        names, data = [*names, "mended"], mended(data)
    return "+".join(names), data


def main() -> None:
    parser = argparse.ArgumentParser(description="Seeded damage to MIDI files.")
    parser.add_argument("folder", type=Path, help="with .mid files in it, at any depth")
    parser.add_argument("out", type=Path, help="a folder, made anew")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    files = [path.read_bytes() for path in sorted(arguments.folder.rglob("*.mid"))]
    if not files:
        parser.error(f"{arguments.folder}: no .mid file in it")
    arguments.out.mkdir(parents=True)
    for number in range(1, arguments.count + 1):
        kind, data = mutation(files, arguments.seed, number)
        (arguments.out / f"{number:05d}-{kind}.mid").write_bytes(data)


if __name__ == "__main__":
    main()
