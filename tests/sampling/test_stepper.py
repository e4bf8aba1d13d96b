"""The stepper says what the model says, for every cell, encoding, option and number of rows."""

import numpy as np
import pytest
import torch

from lstmusic.corpus.lanes import Arrays, piece_arrays
from lstmusic.errors import ConfigError, StateShapeError
from lstmusic.evaluation.likelihood import to_window
from lstmusic.events import codec as codecs
from lstmusic.models.cells import CELLS
from lstmusic.models.language_model import Window
from lstmusic.sampling.products import product
from lstmusic.sampling.stepper import Stepper, build
from lstmusic.training.checkpoint import build_model

ENCODINGS = ("performance", "chorale", "melody", "metrical")  # groups of 1 with flags, 4, 2, and 5 with flags
PIECES, STEPS = 3, 6


@pytest.fixture
def window_of(random_walk):
    """A function: the first steps of a few random legal pieces, everything allowed."""

    def build_window(codec) -> Window:
        rng = np.random.default_rng(0)
        pieces: list[Arrays] = []
        while len(pieces) < PIECES:
            arrays = piece_arrays(codec, random_walk(codec.grammar, rng, 4 * STEPS))
            if len(arrays.targets) >= STEPS:
                pieces.append(Arrays(*(field[:STEPS] for field in arrays)))
        window = to_window(Arrays(*(np.stack(field) for field in zip(*pieces, strict=True))))
        return window._replace(allowed=torch.ones_like(window.allowed))

    return build_window


@pytest.fixture
def shaken(tiny_model):
    """A function: a tiny model none of whose weights is 0 or 1."""

    def build_model_of(codec, **sizes):
        model = tiny_model(codec, **sizes)
        for weight in model.parameters():
            weight.data += 0.1 * torch.randn_like(weight)
        return model

    return build_model_of


def stepped(stepper, window, rows):
    """Logits [rows, T, G, V] by the stepper; row r plays piece r % PIECES."""
    lanes = torch.arange(rows) % PIECES
    previous, targets, columns, flags = (field[lanes] for field in window[:4])
    logits = []
    for t in range(STEPS):
        stepper.read(previous[:, t], columns[:, t, 0], flags[:, t, 0])
        for g in range(targets.shape[2]):
            logits.append(stepper.logits(targets[:, t, :g], columns[:, t, g], flags[:, t, g]).clone())
    return torch.stack(logits, dim=1).unflatten(1, targets.shape[1:])


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_stepper_says_what_the_model_says_of_a_window(encoding, cell, shaken, window_of):
    codec = codecs.build(encoding)
    window = window_of(codec)
    for tied in (True, False):
        model = shaken(codec, cell=cell, tied=tied)
        with torch.no_grad():
            expected, state = model.logits(window)
        for rows in (1, 2, 16):
            stepper = Stepper(model, rows)
            found = stepped(stepper, window, rows)
            lanes = torch.arange(rows) % PIECES
            torch.testing.assert_close(found, expected[lanes], atol=1e-5, rtol=1e-5)
            for mine, theirs in zip(stepper.state(), state, strict=True):
                torch.testing.assert_close(mine, theirs[:, lanes], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["language", "frames", "echoes"])
@pytest.mark.parametrize("rows", [1, 4])
def test_a_song_goes_on_from_a_state_of_the_model(kind, rows, shaken, window_of):
    codec = codecs.build("chorale" if kind == "language" else "frames")
    frames = {"output": "joint", "embedding_size": 8, "hidden_size": 12, "echoes": [2, 3] if kind == "echoes" else []}
    model = shaken(codec) if kind == "language" else build_model(codec, frames).eval()
    window = window_of(codec)
    played = torch.arange(rows) % PIECES
    stepper = build(model, rows)
    with torch.no_grad():
        first = window.previous[:1, :3], window.columns[:1, :3, 0], window.flags[:1, :3, 0], window.reset[:1, :3]
        _, state = model.hidden(*first)
        stepper.load(state)
        state = tuple(part.expand(-1, rows, -1) for part in state)
        for t in (3, 4):
            here = window.columns[played, t, 0], window.flags[played, t, 0]
            hidden, state = model.step(window.previous[played, t], *here, state)
            stepper.read(window.previous[played, t], *here)
            members = window.targets[played, t, :2]
            expected = model.member_logits(hidden, members, *here)
            torch.testing.assert_close(stepper.logits(members, *here), expected, atol=1e-5, rtol=1e-5)
    for mine, theirs in zip(stepper.state(), state, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)


def test_a_state_of_another_model_or_number_of_songs_is_refused(tiny_model):
    codec = codecs.build("melody")
    stepper = Stepper(tiny_model(codec), 4)
    for other in (tiny_model(codec, layers=3), tiny_model(codec, cell="gru"), tiny_model(codec, hidden_size=13)):
        with pytest.raises(StateShapeError, match="expected"):
            stepper.load(other.initial_state(4))
    with pytest.raises(StateShapeError, match=r"\(2, 3, 12\)"):
        stepper.load(tiny_model(codec).initial_state(3))


@pytest.mark.parametrize("echoes", [[], [2, 3]])
def test_a_state_of_another_model_of_frames_or_number_of_songs_is_refused(echoes):
    codec, sizes = codecs.build("frames"), {"output": "joint", "embedding_size": 8, "hidden_size": 12, "num_layers": 1}
    model = build_model(codec, {**sizes, "echoes": echoes})
    stepper = build(model, 4)
    stepper.load(model.initial_state(1))
    others = {"hidden_size": 13}, {"num_layers": 2}, {"echoes": [] if echoes else [2]}
    for changes in others:
        with pytest.raises(StateShapeError, match="expected"):
            stepper.load(build_model(codec, {**sizes, "echoes": echoes, **changes}).initial_state(4))
    with pytest.raises(StateShapeError, match="or one row in the place of 4"):
        stepper.load(model.initial_state(3))


@pytest.mark.parametrize("weights", ["float32", "float16", "int8"])
def test_no_bit_of_a_song_depends_on_the_others(weights, shaken, window_of):
    """The other rows play other pieces, with other numbers of flags, or stand still."""
    codec = codecs.build("metrical")
    model, window = shaken(codec, hidden_size=64, embedding_size=32), window_of(codec)
    others = Window(*(field[[0, 2, 1]] for field in window))
    still = Window(*(torch.cat([field[:1], torch.zeros_like(field[1:])]) for field in window))
    first, second, third = (stepped(Stepper(model, 16, weights), songs, 16) for songs in (window, others, still))
    assert not torch.equal(first[1], second[1])
    for row in range(0, 16, PIECES):
        assert torch.equal(first[row], second[row])
        assert torch.equal(first[row], third[row])


@pytest.mark.parametrize("rows", [1, 16])
@pytest.mark.parametrize("cell", ["lstm", "gru_v1", "lstm_mogrifier", "minlstm"])
def test_what_narrow_weights_cost(cell, rows, shaken, window_of):
    """float16 costs nothing where the weights were stored so; int8 a little."""
    codec = codecs.build("performance")
    window = window_of(codec)
    model = shaken(codec, cell=cell, hidden_size=40, embedding_size=24).half().float()
    exact, half, eighth = (
        stepped(Stepper(model, rows, weights), window, rows) for weights in ("float32", "float16", "int8")
    )
    torch.testing.assert_close(half, exact, atol=1e-5, rtol=1e-5)
    targets = window.targets[torch.arange(rows) % PIECES]
    nats, coarse = (torch.nn.functional.cross_entropy(x.flatten(0, -2), targets.flatten()) for x in (exact, eighth))
    assert not torch.equal(exact, eighth)
    assert abs(float(nats - coarse)) < 0.02
    assert float((exact - eighth).abs().max()) < 0.2


@pytest.mark.parametrize("rows", [1, 2, 128, 512])
@pytest.mark.parametrize(("outputs", "inputs"), [(7, 5), (96, 64), (130, 257)])
def test_a_product_is_the_matrix_times_the_rows(rows, outputs, inputs):
    generator = torch.Generator().manual_seed(rows)
    w, b, x = (torch.randn(*shape, generator=generator) for shape in ((outputs, inputs), (outputs,), (rows, inputs)))
    bounds = {"float32": 1e-5, "float16": 1e-3, "int8": 2e-2}  # of rounded weights; int8: x and y in bfloat16 too
    for weights, bound in bounds.items():
        for bias in (b, None):
            exact = x.double() @ w.double().t() + (0 if bias is None else bias)
            error = (product(w, bias, rows, weights)(x) - exact).abs().max() / exact.abs().max()
            assert error < bound


def test_without_the_packed_kernels_torch_does_the_products(monkeypatch):
    def missing(*arguments):
        raise RuntimeError("not built in")

    monkeypatch.setattr(torch.ops.mkldnn, "_reorder_linear_weight", missing)
    monkeypatch.setattr(torch.ops.quantized, "linear_prepack_fp16", missing)
    w, b, x = torch.randn(6, 5), torch.randn(6), torch.randn(3, 5)
    torch.testing.assert_close(product(w, b, 3)(x), x @ w.t() + b)
    torch.testing.assert_close(product(w, None, 3)(x), x @ w.t())
    with pytest.raises(ConfigError, match="weights=float16: expected float32 or int8"):
        product(w, b, 3, "float16")


def test_other_weights_are_refused(tiny_model):
    model = tiny_model(codecs.build("melody"))
    with pytest.raises(ConfigError, match="weights=int4: expected one of float32, float16, int8"):
        build(model, 2, "int4")
    frames = build_model(codecs.build("frames"), {"output": "joint", "hidden_size": 12})
    with pytest.raises(ConfigError, match="weights=float16: expected float32"):
        build(frames, 2, "float16")


@pytest.mark.parametrize("rows", [1, 16])
def test_a_token_makes_no_copy_of_weights(rows, tiny_model, window_of):
    """All that a token allocates are a few rows, let go at once."""
    codec = codecs.build("performance")
    model, window = tiny_model(codec, hidden_size=128, embedding_size=64), window_of(codec)
    stepper = Stepper(model, rows)
    stepped(stepper, window, rows)
    with torch.profiler.profile(profile_memory=True) as profile:
        stepped(stepper, window, rows)
    largest = max(event.cpu_memory_usage for event in profile.events())
    assert 0 < largest <= 4 * rows * STEPS * len(codec.vocabulary)  # the test's own stack of logits


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("weights", ["float32", "float16"])
def test_the_captured_graph_says_what_the_model_says(cell, weights, shaken, window_of):
    codec = codecs.build("metrical")
    window = window_of(codec)
    model = shaken(codec, cell=cell).half().float()
    with torch.no_grad():
        expected, _ = model.logits(window)
    found = stepped(Stepper(model.to("cuda"), 16, weights), window, 16).cpu()
    tolerance = 1e-4 if weights == "float32" else 2e-2  # in float16 x is rounded too
    torch.testing.assert_close(found, expected[torch.arange(16) % PIECES], atol=tolerance, rtol=tolerance)
