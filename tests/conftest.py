"""Tiny scores and tiny models that the tests of several rooms share."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import lstmusic
from lstmusic.events import codec as codecs
from lstmusic.models.language_model import RecurrentLanguageModel
from lstmusic.sampling.controls import Controls
from lstmusic.sampling.settings import Repetition
from lstmusic.score import midi
from lstmusic.score.score import (
    KEY_DTYPE,
    METER_DTYPE,
    NOTE_DTYPE,
    TEMPO_DTYPE,
    Score,
    Track,
    sorted_notes,
    table,
)
from lstmusic.training import checkpoint

ENCODINGS = {
    "chorale": ("chorale", {}),
    "canonical": ("chorale", {"strikes": False}),
    "melody": ("melody", {}),
    "metrical": ("metrical", {}),
    "flat": ("metrical", {"grouped": False}),
    "performance": ("performance", {}),
    "pedals": ("performance", {"pedals": True}),
}


torch.set_num_threads(1)  # tiny models: handing work to other threads costs more than the work


@pytest.fixture(params=ENCODINGS)
def codec(request):
    """Every encoding in turn; `canonical` is the chorale's form without strikes."""
    name, options = ENCODINGS[request.param]
    return codecs.build(name, **options)


@pytest.fixture
def score_of():
    """A function: the Score of rows (onset, duration, pitch, velocity, track) in ticks of 120 to a 16th."""

    def build(rows, *, tracks=None, qpm=120, meter=(4, 4), key=None, pickup=0, ticks_per_quarter=480) -> Score:
        columns = [np.array(column) for column in zip(*rows, strict=True)]
        used = int(columns[4].max()) + 1
        return Score(
            sorted_notes(table(NOTE_DTYPE, *columns)),
            tracks or tuple(Track(19, False, f"part {k}") for k in range(used)),
            tempi=table(TEMPO_DTYPE, [0], round(60e6 / qpm)),
            meters=table(METER_DTYPE, [0], *meter),
            keys=table(KEY_DTYPE, *([[0], *key] if key else [[], 0, 0])),
            ticks_per_quarter=ticks_per_quarter,
            pickup_tick=pickup,
        )

    return build


@pytest.fixture
def phrase(score_of):
    """A function: four voices of quarter notes for so many bars, from a seed; any encoding holds it."""

    def build(bars: int = 2, seed: int = 0) -> Score:
        rng = np.random.default_rng(seed)
        rows = []
        for voice, center in enumerate((72, 66, 60, 50)):
            pitches = center + rng.integers(-2, 3, 4 * bars)
            rows += [(480 * k, 480, int(p), 80, voice) for k, p in enumerate(pitches)]
        return score_of(rows)

    return build


@pytest.fixture
def tiny_model():
    """A function: an untrained model of a few thousand weights for an encoding, in evaluation mode."""

    def build(codec, *, cell="lstm", layers=2, seed=0, **sizes) -> RecurrentLanguageModel:
        torch.manual_seed(seed)
        return RecurrentLanguageModel(
            num_ids=len(codec.vocabulary),
            group_size=codec.group_size,
            feature_sizes=list(codec.grammar.column_sizes.values()),
            num_flags=codec.grammar.num_flags,
            cell=cell,
            num_layers=layers,
            **{"embedding_size": 8, "hidden_size": 12, "dropout": 0.0, "head_dropout": 0.0, **sizes},
        ).eval()

    return build


@pytest.fixture
def random_walk():
    """A function: ids of a legal piece, each drawn evenly from what the grammar allows; closed after so many groups."""

    def walk(grammar, rng, groups: int) -> np.ndarray:
        state = grammar.start(1)
        ids = grammar.bos().tolist()
        while not grammar.finished(state)[0]:
            written = len(ids) // grammar.group_size
            mask = grammar.allowed(state)[0] if written < groups else grammar.closing(state)[0]
            choices = np.flatnonzero(mask)
            assert len(choices), f"dead end after {ids[-8:]}"
            assert len(ids) < grammar.group_size * (groups + 300), "closing does not end"
            ids.append(int(rng.choice(choices)))
            grammar.advance(state, np.array(ids[-1:]))
        return np.array(ids)

    return walk


@pytest.fixture
def data_dir(monkeypatch) -> Path:
    """The folder of real data sets, where somebody says that there is one."""
    if "LSTMUSIC_DATA_DIR" not in os.environ:
        pytest.skip("LSTMUSIC_DATA_DIR is not set")
    return Path(os.environ["LSTMUSIC_DATA_DIR"])


@pytest.fixture(scope="session")
def steered_model(tmp_path_factory):
    """An untrained model of chorales in a folder."""
    place, codec = tmp_path_factory.mktemp("steered") / "model", codecs.build("chorale")
    sizes = {"hidden_size": 12, "embedding_size": 8, "num_layers": 1}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = checkpoint.build_model(codec, sizes)
    checkpoint.save(place, network, codec, sizes=sizes, facts={}, split={}, card="A card.\n")
    return lstmusic.load(place)


@pytest.fixture(scope="session")
def steered_song(steered_model):
    """Song 3 of seed 5, with settings of every kind."""
    return steered_model.generate(
        3,
        seed=5,
        temperature=((0.0, 0.8), (1.0, 1.2)),
        top_k=20,
        pitch_temperature=0.9,
        controls=Controls(key="D dorian", key_weight=2.5, ranges={"Soprano": (60, 79), "all": (40, 70)}, polyphony=3),
        repetition=Repetition(break_loops=False),
        length_bars=2,
        cadence=False,
    )[2]


@pytest.fixture
def written_song(steered_song, tmp_path):
    """A function: that song in a file, with some facts of its provenance changed, or another text instead."""

    def write(text=None, **changes):
        facts = {**json.loads(steered_song.score.texts[0][1]), **changes}
        midi.write(replace(steered_song.score, texts=((0, text or json.dumps(facts)),)), tmp_path / "song.mid")
        return tmp_path / "song.mid"

    return write
