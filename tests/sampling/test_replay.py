"""A song that goes on from a snapshot of it comes out as if it had never been stopped."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from lstmusic.corpus.lanes import Arrays, piece_arrays
from lstmusic.errors import ConfigError
from lstmusic.evaluation.likelihood import to_window
from lstmusic.events import codec as codecs
from lstmusic.sampling.controls import Controls
from lstmusic.sampling.replay import state_after
from lstmusic.sampling.sampler import sample
from lstmusic.sampling.settings import Length, Repetition, SamplingSettings
from lstmusic.sampling.snapshot import Snapshot
from lstmusic.training.checkpoint import build_model

ROW = 2


def generators(drawn=0):
    """Of three songs; the last one's after so many numbers of it."""
    *_, last = made = [np.random.default_rng((7, i)) for i in range(ROW + 1)]
    last.bit_generator.advance(drawn)
    return made if drawn == 0 else [None, None, last]


def stopped_at(model, codec, ids, group, begun=None, **options):
    """A snapshot of a song after so many groups, that went through a file's text."""
    so_far = ids[: group * codec.group_size]
    prefix = codec.grammar.bos() if begun is None else begun
    state, told = state_after(model, codec.grammar, so_far, prefix, row=ROW, **options)
    return Snapshot.of_json(json.loads(json.dumps(Snapshot(so_far, state, "0" * 64, told=told).to_json())))


def both_ways(model, codec, *, asked=1, stops=(0.3, 0.7), cadence=False, repetition=None, primer=None, **options):
    """The ids of a song of so many bars, and those of it stopped after some shares of them."""
    grammar, size = codec.grammar, codec.group_size
    options |= {"settings": SamplingSettings(), "repetition": repetition}
    whole = sample(model, grammar, generators(), length=Length(asked, cadence=cadence), primer=primer, **options)[
        ROW
    ].ids
    begun = grammar.bos() if primer is None else primer
    heard = {name: options[name] for name in ("controls", "weights") if name in options}
    bars = grammar.length(grammar.trajectory(whole)[::size])[0]  # before each group
    new_bars = bars - bars[min(len(begun) // size, len(bars) - 1)]
    parts = []
    for stop in stops:
        group = int(np.flatnonzero(new_bars[:-1] <= stop * asked)[-1])
        start = stopped_at(model, codec, whole, group, begun, **heard)
        left = Length(asked - new_bars[group], cadence=cadence)
        drawn = generators(len(start.ids) - len(begun))
        parts.append(sample(model, grammar, drawn, length=left, start=start, **options)[0].ids)
    return whole.tolist(), [part.tolist() for part in parts]


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_song_stopped_and_gone_on_with_is_the_song(codec, tiny_model, cell):
    whole, parts = both_ways(tiny_model(codec, cell=cell), codec)
    assert parts == [whole] * 2


@pytest.mark.parametrize("echoes", [[], [2, 4]])
def test_frames_go_on_with_all_that_their_model_carries(echoes):
    codec = codecs.build("frames")
    sizes = {"output": "joint", "hidden_size": 12, "embedding_size": 8, "num_layers": 2, "echoes": echoes}
    whole, parts = both_ways(build_model(codec, sizes).eval(), codec, stops=(0.5,))
    assert parts == [whole]


@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_endings_loops_form_and_conditions_go_on_as_well(tiny_model, weights):
    codec = codecs.build("chorale", conditions=True)
    model = tiny_model(codec, hidden_size=32)
    steered = {"controls": Controls(density=9.0), "repetition": Repetition(least=0.9), "weights": weights}
    whole, parts = both_ways(
        model, codec, asked=4, stops=(0.2, 0.45), cadence=True, **steered
    )  # its last two bars: 0.5
    assert parts == [whole] * 2


def test_a_song_that_began_with_a_primer_goes_on_as_well(tiny_model, phrase):
    codec = codecs.build("chorale")
    primer = codec.encode(phrase())[: -codec.group_size].astype(np.int64)
    whole, parts = both_ways(tiny_model(codec), codec, primer=primer)
    assert parts == [whole] * 2


def test_a_song_that_began_with_a_snapshot_is_replayed_from_there(tiny_model):
    """With a state that the ids alone do not lead to."""
    codec = codecs.build("chorale")
    model, size = tiny_model(codec), codec.group_size
    start = stopped_at(model, codec, codec.grammar.bos(), 1)
    start = replace(start, state=tuple(part + 1 for part in start.state))
    options = {"settings": SamplingSettings(), "length": Length(1, cadence=False)}
    song = sample(model, codec.grammar, generators(), start=start, **options)[ROW].ids
    again = stopped_at(model, codec, song, 2, start.ids, start=start)  # BOS and header: no music yet
    (gone_on,) = sample(model, codec.grammar, generators(size), start=again, **options)
    assert gone_on.ids.tolist() == song.tolist()
    without, _ = state_after(model, codec.grammar, again.ids, start.ids, row=ROW)
    assert not np.allclose(again.state[0], without[0], atol=0.01)


def test_state_after_all_ids_is_what_the_model_itself_carries(tiny_model, phrase):
    """Read at once, without the stepper: by the cell's own formulas over a window of all groups but the last."""
    codec = codecs.build("chorale")
    model = tiny_model(codec)
    ids = codec.encode(phrase())[: -codec.group_size].astype(np.int64)
    state, told = state_after(model, codec.grammar, ids, ids)
    arrays = piece_arrays(codec, ids)
    with torch.no_grad():
        _, expected = model.logits(to_window(Arrays(*(field[None] for field in arrays))))
    assert told is None
    for part, own in zip(state, expected, strict=True):
        np.testing.assert_allclose(part, own[:, 0].numpy(), atol=1e-6)


def test_controls_that_the_encoding_has_not_are_refused(tiny_model):
    codec = codecs.build("chorale")
    with pytest.raises(ConfigError, match="conditions"):
        state_after(
            tiny_model(codec), codec.grammar, codec.grammar.bos(), codec.grammar.bos(), controls=Controls(density=3)
        )
