"""Frame models: the fast joint head is the plain one, its frames sum to 1, and the state is carried as it should."""

from itertools import pairwise, product

import numpy as np
import pytest
import torch

from lstmusic.corpus.lanes import Lanes
from lstmusic.evaluation.likelihood import to_window
from lstmusic.events import codec as codecs
from lstmusic.models.echoes import CopyGates
from lstmusic.models.frame_heads import IndependentHead, JointHead, stretches
from lstmusic.models.frame_model import FrameModel
from lstmusic.models.language_model import Window

OUTPUTS = ("independent", "joint")
ECHOES = ((), (2, 5))
LANES, STEPS = 3, 12


@pytest.fixture
def codec():
    """Frames of quarters."""
    return codecs.build("frames", frames_per_quarter=1)


@pytest.fixture
def model_of():
    """A function: a small model over 88 keys in evaluation mode."""

    def build(output="joint", **sizes) -> FrameModel:
        torch.manual_seed(0)
        sizes = {"num_keys": 88, "hidden_size": 12, "num_layers": 2, "embedding_size": 8, **sizes}
        return FrameModel(num_ids=6, up_ids=[0, 2], down_ids=[1, 3], output=output, **sizes).eval()

    return build


@pytest.fixture
def window_of(codec, phrase):
    """A function: the first window of so many steps, several pieces to a lane."""

    def build(steps):
        pieces = [codec.encode(phrase(1, seed)) for seed in range(9)]
        lengths = np.array([len(ids) // 88 - 1 for ids in pieces])
        lanes = Lanes(read=pieces.__getitem__, steps=lengths, codec=codec, num_lanes=LANES, window_steps=steps)
        return to_window(lanes.window(0, 0))

    return build


@pytest.fixture
def window(window_of):
    return window_of(STEPS)


def part_of(window, start, stop):
    """The steps start..stop-1 of a window."""
    return Window(*(field[:, start:stop] for field in window))


def stirred(model):
    """The model with copy gates that do something."""
    for module in model.modules():
        if isinstance(module, CopyGates):
            torch.nn.init.normal_(module.gates.weight)
    return model


def key_by_key(head, hidden, frame):
    """The logits of a joint head by its definition, one key at a time: hidden [H], frame bool [K]."""
    a, logits = head.head_input(hidden), []
    for k, down in enumerate(frame.tolist()):
        u = head.mlp_norm(a)
        f = head.head_norm(u + head.mlp_output(torch.nn.functional.gelu(head.mlp_input(u))))
        logits.append(head.direct.output(hidden)[k] + head.output.weight[k] @ f)
        if down:
            a = a + head.head_prefix.weight[:, k]
    return torch.stack(logits)


def test_the_joint_head_is_the_plain_loop_over_keys():
    torch.manual_seed(0)
    head = JointHead(6, 88, 5)
    hidden, frames = torch.randn(2, 7, 6), torch.rand(2, 7, 88) < 0.06
    frames[0, 0], frames[0, 1] = False, True
    logits = head(hidden, frames)
    for lane, step in product(range(2), range(7)):
        expected = key_by_key(head, hidden[lane, step], frames[lane, step])
        torch.testing.assert_close(logits[lane, step], expected, atol=1e-5, rtol=0)
        for k in (0, 1, 50, 87):
            one = head.next_key(hidden[lane, step][None], frames[lane, step, :k][None])
            torch.testing.assert_close(one[0], expected[k], atol=1e-5, rtol=0)


def test_the_gradient_of_the_joint_head_is_that_of_the_plain_loop():
    torch.manual_seed(0)
    head, hidden, frames = JointHead(6, 20, 5), torch.randn(1, 4, 6), torch.rand(1, 4, 20) < 0.2
    parameters = list(head.parameters())
    fast = torch.autograd.grad(head(hidden, frames).square().sum(), parameters)
    slow = sum(key_by_key(head, hidden[0, t], frames[0, t]).square().sum() for t in range(4))
    for mine, theirs in zip(fast, torch.autograd.grad(slow, parameters), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)


def test_stretches_of_a_frame_begin_below_it_and_behind_each_key_that_is_down():
    frames = torch.tensor([[0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]], dtype=torch.bool)
    frame, prefix, row = stretches(frames)
    assert frame.tolist() == [0, 0, 0, 1, 2, 2]
    assert prefix.int().tolist() == [[0] * 4, [0, 1, 0, 0], [0, 1, 0, 1], [0] * 4, [0] * 4, [1, 0, 0, 0]]
    assert row.tolist() == [[0, 0, 1, 1], [3, 3, 3, 3], [4, 5, 5, 5]]


@pytest.mark.parametrize("head", [IndependentHead(3, 8), JointHead(3, 8, 4)])
def test_all_frames_together_have_probability_1(head):
    frames = torch.tensor(list(product([False, True], repeat=8)))[None]  # [1, 256, 8]
    hidden = torch.randn(1, 1, 3).expand(1, 256, 3)
    logits = head(hidden, frames)
    nats = torch.nn.functional.binary_cross_entropy_with_logits(logits, frames.float(), reduction="none")
    assert torch.exp(-nats.sum(-1)).sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("echoes", ECHOES)
@pytest.mark.parametrize("cuts", [(0, 5, 12), (0, 1, 2, 3, 12)])
def test_chunked_forward_equals_full_forward(model_of, window, output, echoes, cuts):
    model = stirred(model_of(output, echoes=echoes))
    full, last = model(window)
    state, parts = None, []
    for start, stop in pairwise(cuts):
        nats, state = model(part_of(window, start, stop), state)
        parts.append(nats)
    torch.testing.assert_close(torch.cat(parts, dim=1), full, atol=1e-5, rtol=0)
    for mine, theirs in zip(state, last, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("echoes", ECHOES)
def test_step_and_member_logits_agree_with_logits_and_nats(model_of, window, output, echoes):
    model = stirred(model_of(output, echoes=echoes))
    window = window._replace(reset=torch.zeros_like(window.reset), allowed=torch.ones_like(window.allowed))
    nats, _ = model(window)
    expected, _ = model.logits(window)
    chosen = -expected.log_softmax(-1).gather(-1, window.targets[..., None])[..., 0]
    state = model.initial_state(LANES)
    for t in range(STEPS):
        hidden, state = model.step(window.previous[:, t], window.columns[:, t, 0], window.flags[:, t, 0], state)
        for k in range(0, 88, 7):
            logits = model.member_logits(hidden, window.targets[:, t, :k], window.columns[:, t, k], None)
            torch.testing.assert_close(logits, expected[:, t, k], atol=1e-5, rtol=0)
    music = window.targets < 4
    assert music.any()
    legal = expected[..., [0, 1]].log_softmax(-1)  # as in every frame but the first
    torch.testing.assert_close(nats[music], -legal.gather(-1, window.targets[..., None] % 2)[..., 0][music])
    assert (chosen[~music] > 1e8).all()


@pytest.mark.parametrize("output", OUTPUTS)
def test_echoes_of_another_piece_are_not_heard(model_of, window_of, output):
    model, window = stirred(model_of(output, echoes=(2, 5))), window_of(40)
    lane, start = next((b, t) for b, t in window.reset.nonzero().tolist() if t > 0)
    whole = model(window)[0][lane, start:]
    alone = Window(*(field[lane : lane + 1, start:] for field in window))
    torch.testing.assert_close(model(alone)[0][0], whole, atol=1e-5, rtol=0)


def test_what_is_no_key_costs_nothing(model_of, window):
    nats, _ = model_of()(window)
    assert (window.targets == 5).any()
    assert (nats[window.targets == 5] == 0).all()
    assert (nats[(window.targets < 4)] > 0).all()


@pytest.mark.parametrize("output", OUTPUTS)
def test_where_only_the_ending_is_allowed_it_has_all_probability(model_of, window, output):
    logits, _ = model_of(output).logits(window)
    ends = window.targets == 5
    ends[..., 0] = False  # the first key of the group may also be one of a frame
    assert ends.any() and (window.allowed[ends].sum(-1) == 1).all()
    assert (logits[ends].softmax(-1)[:, 5] == 1).all()
    free = window.targets < 4
    assert (logits[free].softmax(-1)[:, 4:] == 0).all()


def test_a_key_is_judged_by_the_frames_before_and_the_keys_below(model_of, window):
    one = Window(*(field[:1, :6] for field in window))._replace(reset=torch.zeros(1, 6, dtype=torch.bool))
    one = one._replace(targets=one.targets.clamp(max=1), previous=one.previous.clamp(max=1))
    other = one._replace(targets=one.targets.clone())
    other.targets[0, 3, 40] = 1 - other.targets[0, 3, 40]
    for output in OUTPUTS:
        model = model_of(output)
        before, after = model._key_logits(one, None)[0][0], model._key_logits(other, None)[0][0]
        changed = (before != after).nonzero().tolist()
        assert changed == ([[3, k] for k in range(41, 88)] if output == "joint" else [])
        earlier = one._replace(previous=one.previous.clone())
        earlier.previous[0, 3, 40] = 1 - earlier.previous[0, 3, 40]
        moved = (model._key_logits(earlier, None)[0][0] != before).any(-1)
        assert moved.tolist() == [False] * 3 + [True] * 3


def test_head_dropout_is_the_same_along_a_lane_and_drawn_anew(model_of):
    head = model_of(head_dropout=0.5).head.train()
    hidden, frames = torch.ones(2, 5, 12), torch.zeros(2, 5, 88, dtype=torch.bool)
    logits = head(hidden, frames)
    assert torch.equal(logits[:, 1:], logits[:, :1].expand(-1, 4, -1))
    assert not torch.equal(logits[0], logits[1])
    assert not torch.equal(logits, head(hidden, frames))


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_few_steps_learn_a_window_by_heart(model_of, window, output):
    model = model_of(output, hidden_size=24).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    losses = []
    for _ in range(80):
        nats, _ = model(window)
        losses.append((nats * window.weight).sum().item())
        optimizer.zero_grad()
        nats.sum().backward()
        assert all(p.grad is not None and (p.grad != 0).any() for p in model.parameters())
        optimizer.step()
    assert losses[-1] < 0.2 * losses[0]
