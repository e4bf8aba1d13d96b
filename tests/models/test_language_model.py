"""The language model on every encoding: carried state, causality, masks, regularisers, and one step that equals the window.

That holds for every cell too, in float64, with the gradients: test_tbptt.py.
"""

from itertools import pairwise

import numpy as np
import pytest
import torch

from lstmusic.corpus.lanes import Arrays, Lanes
from lstmusic.errors import StateShapeError
from lstmusic.evaluation.likelihood import to_window
from lstmusic.events import codec as codecs
from lstmusic.models.cells import CELLS, LAYERS
from lstmusic.models.dropout import row_mask
from lstmusic.models.language_model import Window
from lstmusic.schema.groups import SCANNED

RATES = ("input_dropout", "dropout", "head_dropout", "embedding_dropout", "weight_drop")
LANES, STEPS = 3, 24


@pytest.fixture
def window_of(phrase):
    """A function: one window over a few pieces on `LANES` lanes, several pieces to a lane."""

    def build(codec, steps=STEPS) -> Window:
        pieces = [codec.encode(phrase(1, seed)) for seed in range(9)]
        lengths = np.array([len(ids) // codec.group_size - 1 for ids in pieces])
        lanes = Lanes(read=pieces.__getitem__, steps=lengths, codec=codec, num_lanes=LANES, window_steps=steps)
        return to_window(lanes.window(0, 0))

    return build


def part_of(window, start, stop):
    """The steps start..stop-1 of a window."""
    return Window(*(field[:, start:stop] for field in window))


@pytest.fixture
def chorale():
    return codecs.build("chorale")


@pytest.mark.parametrize("cuts", [(0, 8, 16, 24), (0, 1, 5, 23, 24), tuple(range(25))])
def test_chunked_forward_equals_full_forward(codec, window_of, tiny_model, cuts):
    model, window = tiny_model(codec), window_of(codec)
    full, last = model(window)
    state, parts = None, []
    for start, stop in pairwise(cuts):
        nats, state = model(part_of(window, start, stop), state)
        parts.append(nats)
    torch.testing.assert_close(torch.cat(parts, dim=1), full, atol=1e-5, rtol=1e-6)
    for mine, theirs in zip(state, last, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=0)


def test_a_piece_does_not_hear_the_piece_before_it(codec, window_of, tiny_model):
    """The nats of a piece that begins inside a window are those of the piece alone."""
    model, window = tiny_model(codec), window_of(codec, steps=200)
    nats, _ = model(window)
    alone = 0
    for lane, start in window.reset.nonzero().tolist():
        follow = window.reset[lane, start + 1 :].nonzero()
        stop = start + 1 + int(follow[0]) if len(follow) else window.reset.shape[1]
        piece = Window(*(field[lane : lane + 1, start:stop] for field in window))
        torch.testing.assert_close(model(piece)[0][0], nats[lane, start:stop], atol=1e-5, rtol=0)
        alone += start > 0
    assert alone >= 3


def test_no_id_is_predicted_from_itself_or_later_ones(codec, window_of, tiny_model):
    """By gradient: replace embedding look-ups by leaves and see which of them each logit depends on."""
    model, window = tiny_model(codec), window_of(codec, steps=6)
    window = Window(*(field[:1] for field in window))._replace(reset=torch.zeros(1, 6, dtype=torch.bool))
    leaves = []

    class Leaves(torch.nn.Module):
        """The embedding, each look-up a leaf of its own."""

        def __init__(self, weight):
            super().__init__()
            self.weight = weight

        def forward(self, ids):
            leaves.append(self.weight.detach()[ids].requires_grad_())
            return leaves[-1]

    model.embedding = Leaves(model.embedding.weight)
    logits, _ = model.logits(window._replace(allowed=torch.ones_like(window.allowed)))
    previous, targets = leaves
    group = codec.group_size
    for t in range(6):
        for member in range(group):
            by_previous, by_target = torch.autograd.grad(
                logits[0, t, member].square().sum(), (previous, targets), retain_graph=True, materialize_grads=True
            )
            read = by_target[0].abs().sum(-1) > 0  # [T, G]
            expected = torch.zeros(6, group, dtype=torch.bool)
            expected[t, :member] = True
            assert torch.equal(read, expected), (t, member)
            assert (by_previous[0].abs().sum((-1, -2)) > 0).tolist() == [step <= t for step in range(6)]


def test_features_of_later_steps_and_members_are_not_read(codec, window_of, tiny_model):
    model, window = tiny_model(codec), window_of(codec)
    sizes = torch.tensor(list(codec.grammar.feature_sizes.values()))
    before, _ = model.logits(window._replace(allowed=torch.ones_like(window.allowed)))
    for t, member in ((7, 0), (7, codec.group_size - 1)):
        columns, flags = window.columns.clone(), window.flags.clone()
        columns[:, t, member] = (columns[:, t, member] + 1) % sizes
        columns[:, t + 1 :] = 0
        flags[:, t, member] = ~flags[:, t, member]
        after, _ = model.logits(window._replace(columns=columns, flags=flags, allowed=torch.ones_like(window.allowed)))
        same = (after - before).abs().amax(dim=(0, 3)) < 1e-7
        assert same[:t].all()
        assert same[t, :member].all()
        assert not same[t, member]


def test_step_and_member_logits_agree_with_logits(codec, window_of, tiny_model):
    model, window = tiny_model(codec), window_of(codec)
    window = window._replace(reset=torch.zeros_like(window.reset), allowed=torch.ones_like(window.allowed))
    expected, last = model.logits(window)
    state = model.initial_state(LANES)
    for t in range(STEPS):
        hidden, state = model.step(window.previous[:, t], window.columns[:, t, 0], window.flags[:, t, 0], state)
        for member in range(codec.group_size):
            members = window.targets[:, t, :member]
            columns, flags = window.columns[:, t, member], window.flags[:, t, member]
            logits = model.member_logits(hidden, members, columns, flags)
            torch.testing.assert_close(logits, expected[:, t, member], atol=1e-5, rtol=0)
    for mine, theirs in zip(state, last, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=0)


def test_forbidden_ids_have_probability_0_and_the_others_sum_to_1(codec, window_of, tiny_model):
    model, window = tiny_model(codec), window_of(codec)
    logits, _ = model.logits(window)
    p = logits.softmax(-1)
    assert (p[~window.allowed] == 0).all()
    assert (p[window.allowed] > 0).all()
    torch.testing.assert_close(p.sum(-1), torch.ones(p.shape[:-1]))
    nats, _ = model(window)
    expected = -p.gather(-1, window.targets[..., None])[..., 0].log()
    torch.testing.assert_close(nats, expected, atol=1e-4, rtol=0)


def test_a_single_legal_id_costs_nothing(codec, window_of, tiny_model):
    """After the first EOS of a chorale's last group, the others are certain: 0 nats; so is the first BAR."""
    window = window_of(codec)
    nats, _ = tiny_model(codec)(window)
    certain = (window.allowed.sum(-1) == 1) & (window.weight > 0)
    assert bool(certain.any()) == (codec.group_size > 1 or codec.name == "metrical")
    assert (nats[certain] == 0).all()


def test_lanes_do_not_touch_each_other(codec, window_of, tiny_model):
    model, window = tiny_model(codec), window_of(codec)
    together, _ = model(window)
    for lane in range(LANES):
        alone, _ = model(Window(*(field[lane : lane + 1] for field in window)))
        torch.testing.assert_close(alone[0], together[lane], atol=1e-5, rtol=0)


def test_nats_are_the_same_at_every_evaluation(codec, window_of, tiny_model):
    model, window = tiny_model(codec, dropout=0.5, head_dropout=0.5), window_of(codec)
    assert torch.equal(model(window)[0], model(window)[0])
    model.train()
    assert not torch.equal(model(window)[0], model(window)[0])


@pytest.mark.parametrize("cell", CELLS)
def test_a_state_for_something_else_is_refused(chorale, window_of, tiny_model, cell):
    model, window = tiny_model(chorale, cell=cell), window_of(chorale)
    parts = len(model.initial_state(LANES))
    for wrong in (
        model.initial_state(LANES + 1),
        tiny_model(chorale, cell=cell, hidden_size=7).initial_state(LANES),
        tiny_model(chorale, cell=cell, layers=1).initial_state(LANES),
        model.initial_state(LANES) * 2,
    ):
        with pytest.raises(StateShapeError, match=rf"expected \[(\(2, 3, 12\)(, )?){{{parts}}}\]"):
            model(window, wrong)


@pytest.mark.parametrize("rate", RATES)
def test_every_rate_drops_something_while_training_and_nothing_in_evaluation(chorale, window_of, tiny_model, rate):
    plain = dict.fromkeys(RATES, 0.0)
    model, window = tiny_model(chorale, **{**plain, rate: 0.4}), window_of(chorale)
    expected, _ = tiny_model(chorale, **plain)(window)
    assert torch.equal(model(window)[0], expected)
    first, second = (model.train()(window)[0] for _ in range(2))
    assert not torch.equal(first, expected)
    assert not torch.equal(first, second)


def test_the_schema_knows_which_cells_can_drop_weights():
    assert {cell for cell in CELLS if not LAYERS[cell].has_recurrent_matrix} == set(SCANNED)


def test_masks_stay_for_the_whole_window(chorale, window_of, tiny_model):
    """A piece that stands twice in a window is dropped the same things both times."""
    model, window = tiny_model(chorale, **dict.fromkeys(RATES, 0.4)).train(), window_of(chorale)
    window = window._replace(reset=torch.zeros_like(window.reset).index_fill(1, torch.tensor([0]), True))
    nats, _ = model(Window(*(torch.cat([field, field], dim=1) for field in window)))
    torch.testing.assert_close(nats[:, :STEPS], nats[:, STEPS:], atol=1e-5, rtol=0)
    again, _ = model(window)
    assert (again - nats[:, :STEPS]).abs().max() > 1e-3


def test_a_dropped_id_is_unseen_wherever_it_stands(chorale, window_of, tiny_model):
    """In the steps and in the members before, in every lane; other rows are scaled up, and the output has all rows."""
    model, window = tiny_model(chorale, input_dropout=0.0, embedding_dropout=0.5).train(), window_of(chorale)
    factors = row_mask(model.embedding.weight, 0.5, torch.Generator().manual_seed(3))
    model.generator = torch.Generator().manual_seed(3)
    nats, _ = model(window)
    seen = torch.nn.Embedding.from_pretrained(model.embedding.weight.detach() * factors)
    other = tiny_model(chorale, input_dropout=0.0, tied=False)
    other.load_state_dict({**model.state_dict(), "output_weight": model.embedding.weight})
    other.embedding = seen
    torch.testing.assert_close(other(window)[0], nats)


def test_all_masks_are_drawn_by_the_generator_that_is_passed_in(chorale, window_of, tiny_model):
    model, window = tiny_model(chorale, **dict.fromkeys(RATES, 0.4)).train(), window_of(chorale)
    elsewhere = torch.get_rng_state()
    nats = []
    for seed in (1, 1, 2):
        model.generator = torch.Generator().manual_seed(seed)
        nats.append(model(window)[0])
    assert torch.equal(nats[0], nats[1])
    assert not torch.equal(nats[0], nats[2])
    assert torch.equal(torch.get_rng_state(), elsewhere)
    model.generator = None
    model(window)
    assert not torch.equal(torch.get_rng_state(), elsewhere)


def test_an_output_of_its_own_or_the_embedding(chorale, window_of, tiny_model):
    """An id that is never read has a gradient where the output is tied to the embedding, and none where it is not."""
    window = window_of(chorale)
    read = torch.zeros(len(chorale.vocabulary), dtype=torch.bool)
    read[torch.cat([window.previous.flatten(), window.targets.flatten()])] = True
    assert not read.all()
    for tied in (True, False):
        model = tiny_model(chorale, tied=tied)
        model(window._replace(allowed=torch.ones_like(window.allowed)))[0].sum().backward()
        assert bool((model.embedding.weight.grad[~read] != 0).any()) == tied
        assert ("output_weight" in model.state_dict()) != tied


@pytest.mark.parametrize("sizes", [{}, {"tied": False}, dict.fromkeys(RATES, 0.1)], ids=("plain", "untied", "dropped"))
def test_one_training_step_on_a_window_changes_every_weight(codec, window_of, tiny_model, sizes):
    model, window = tiny_model(codec, **sizes).train(), window_of(codec, steps=60)
    nats, _ = model(window)
    (nats * window.weight).sum().backward()
    without = [name for name, parameter in model.named_parameters() if not (parameter.grad.abs() > 0).any()]
    assert without == []


def test_a_few_steps_learn_a_window_by_heart(codec, window_of, tiny_model):
    torch.manual_seed(0)
    model, window = tiny_model(codec, embedding_size=24, hidden_size=32), window_of(codec)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    losses = []
    for _ in range(60):
        nats, _ = model(window)
        losses.append((nats * window.weight).sum() / window.weight.sum())
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.25 * losses[0]


def test_arrays_and_window_have_the_same_fields():
    assert Arrays._fields == Window._fields


def test_a_long_window_is_read_like_its_steps_one_by_one(codec, window_of, tiny_model):
    """Where there are more steps than ids, each id is projected once."""
    model, window = tiny_model(codec), window_of(codec, steps=6)
    repeats = 1 + 2 * len(codec.vocabulary) // window.previous[..., 0].numel()
    many = Window(*(torch.cat([field] * repeats, dim=1) for field in window))
    assert many.previous[..., 0].numel() > len(codec.vocabulary)
    hidden, _ = model.hidden(many.previous, many.columns[:, :, 0], many.flags[:, :, 0], many.reset)
    state = model.initial_state(len(many.previous))
    for t in range(many.previous.shape[1]):
        state = tuple(part * (~many.reset[:, t]).unsqueeze(-1) for part in state)
        step, state = model.step(many.previous[:, t], many.columns[:, t, 0], many.flags[:, t, 0], state)
        torch.testing.assert_close(hidden[:, t], step, atol=1e-5, rtol=1e-5)


def test_a_dropped_id_is_dropped_however_long_the_window_is(codec, window_of, tiny_model):
    model, window = tiny_model(codec), window_of(codec, steps=6)
    columns, rows = window.columns[:, :, 0], (torch.rand(len(codec.vocabulary), 1) > 0.5).float() * 2
    bags = model._bag(model.stack_features, columns)
    by_step = model.stack_input(model._look_up(window.previous, rows).flatten(-2)) + bags
    torch.testing.assert_close(model._embed_many(window.previous, columns, rows), by_step, atol=1e-5, rtol=1e-5)
