"""table=generation: how fast songs are written one id after the other, and what share of the memory's speed that is.

LSTMs of 2 layers of 256, 2 of 512 and 3 of 1,024 over the 390 ids of the `performance` encoding, untrained: the ids say
nothing, but each is drawn and read as a real one is. 1, 16 and 128 songs side by side; contenders take short turns, so
that a slower moment of the machine hits all of them, and the best turn of each counts.

- `lstmusic` is the stepper with weights of float32, float16 and int8: read, logits, a draw.
- `nn.LSTM` is an embedding, torch's layers and a linear map of the same sizes, called once per id as it comes; and again
  with oneDNN switched off, since that library lays the weights out anew at each call.
- `GPT-2` has as many parameters, its table of 8,192 places among them, and writes with the cache of keys and values that it
  comes with. An id takes the longer the more there are before it, so it is timed with 1, 255, 1,023 and 8,191 ids in the
  cache (random keys and values) and taken to be straight from place to place: a row is the mean over a song of `song_ids`.
  A song whose cache would exceed MEMORY_LIMIT has no figure, `words` says how large it would be.

The limit: for one song every matrix is read once for each id, so no id comes sooner than the bytes of the matrices do
(`matrix_mb`: half of it in float16, a quarter in int8). `gb_per_second` is the rate at which they came, `of_limit` its
share of the rate at which a large array is read by as many threads, taken in the same turns. Matrices that fit into the
cache (`of_cache` below 1) may come faster than from memory.

What follows are the rows of `generation_songs`: one song of 100,000 ids, and complete songs of a trained model; and those
of `generation_weights`: what float16 and int8 cost in nats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from lstmusic import music_model
from lstmusic.benchmarks import bandwidth, generation_songs, generation_weights
from lstmusic.benchmarks.generation_contenders import (
    ATTENTION,
    LENGTHS,
    OWN,
    PLAIN,
    WITHOUT_ONEDNN,
    Contender,
    Models,
    Size,
)

PACKAGES = ("lstmusic", "torch", "transformers", "numpy")
SIZES = (Size(2, 256), Size(2, 512), Size(3, 1024))
BATCHES = (1, 16, 128)
MODELS = (generation_songs.BUNDLED,)
TURNS = 3
COLUMNS = (
    *("name", "size", "batch", "weights", "song_ids", "us_per_step", "tokens_per_second", "times_lstm"),
    *("times_lstm_without_onednn", *(f"times_gpt2_{length}" for length in LENGTHS), "times_model_step", "parameters"),
    *("matrix_mb", "gb_per_second", "of_limit", "of_cache", "nats_per_token", "nats_more", "words"),
)


def rows(
    *,
    note: Callable[[str], None] = lambda words: None,
    sizes: tuple[Size, ...] = SIZES,
    batches: tuple[int, ...] = BATCHES,
    turns: int = TURNS,
    models: list[str] | tuple[str, ...] = MODELS,
    places: tuple[int, ...] = generation_songs.PLACES,
    songs: tuple[int, ...] = generation_songs.SONGS,
) -> Iterator[dict[str, Any]]:
    """Let every contender write in turns, on the GPU if there is one.

    Args:
        note: told what is being measured.
        models: checkpoints whose nats are measured.
        places, songs: of `generation_songs`.

    Yields:
        A row for each contender, size and number of songs (`batch`), of a GPT-2 one for each length of song: `us_per_step`,
        after which every song has one more id; `tokens_per_second` of all songs; on lstmusic's rows `times_…`, how many
        times as fast it is as each peer with as many songs; the rest as the module says. Then those of `generation_songs`,
        and for each of `models` those of `generation_weights`.

    Raises:
        CheckpointError: there is no such model.
    """
    trained = [
        music_model.load(name) for name in models
    ]  # whatever is wrong with one shows before anything is measured
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for size in sizes:
        untrained = Models(size, device)
        for batch in batches:
            everyone, rate = untrained.contenders(batch), 0.0
            for number in range(turns):
                for one in everyone:
                    note(f"{size}, {batch} songs, turn {number + 1} of {turns}: {one.name}, {one.weights}")
                    one.turn(device)
                if batch == 1:
                    rate = max(rate, bandwidth.read_rate(device))
            for found in _group(everyone, batch, rate, bandwidth.cache_bytes(device)):
                yield _row({"size": str(size), "batch": batch} | found)
    for found in generation_songs.rows(device, note, places=places, songs=songs):
        yield _row(found)
    for model in trained:
        for found in generation_weights.rows(model, device, note):
            yield _row(found)


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the screen shows: all of it."""
    return rows


def _row(found: dict[str, Any]) -> dict[str, Any]:
    if unknown := found.keys() - set(COLUMNS):
        raise ValueError(f"{unknown}: expected columns of the table")
    return dict.fromkeys(COLUMNS) | found


def _group(everyone: list[Contender], batch: int, rate: float, cache: int | None) -> Iterator[dict[str, Any]]:
    """The rows of those who wrote as many songs with models of one size; `rate` is that of reading, 0 if not measured."""
    if rate:
        yield {"name": "reading a large array", "gb_per_second": rate / 1e9, "of_limit": 1.0}
    for one in everyone:
        for length in LENGTHS if one.name == ATTENTION else (None,):
            seconds = one.mean_seconds(length)
            about = {"name": one.name, "weights": one.weights, "song_ids": length, "parameters": one.parameters}
            times = _times(everyone, seconds) if one.name == OWN and seconds else {}
            yield about | {"words": one.words} | _speed(batch, seconds) | times | _share(one, seconds, rate, cache)


def _speed(batch: int, seconds: float | None) -> dict[str, Any]:
    return {"us_per_step": 1e6 * seconds, "tokens_per_second": batch / seconds} if seconds else {}


def _times(everyone: list[Contender], seconds: float) -> dict[str, Any]:
    """How many times as fast a step of so many seconds is as that of each peer."""
    peers = {one.name: one for one in everyone if one.name != OWN}
    asked: dict[str, tuple[str, int | None]] = {
        "times_lstm": (PLAIN, None),
        "times_lstm_without_onednn": (WITHOUT_ONEDNN, None),
        **{f"times_gpt2_{length}": (ATTENTION, length) for length in LENGTHS},
    }
    theirs = {key: peers[name].mean_seconds(length) for key, (name, length) in asked.items() if name in peers}
    return {key: other / seconds for key, other in theirs.items() if other}


def _share(one: Contender, seconds: float | None, rate: float, cache: int | None) -> dict[str, Any]:
    """What a contender reads for each id of one song, and how fast beside memory."""
    if one.matrix_bytes is None:
        return {}
    found: dict[str, Any] = {"matrix_mb": one.matrix_bytes / 1e6}
    if cache:
        found["of_cache"] = one.matrix_bytes / cache
    if rate and seconds:
        reading = one.matrix_bytes / seconds
        found |= {"gb_per_second": reading / 1e9, "of_limit": reading / rate}
    return found
