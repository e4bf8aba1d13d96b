"""One training step: carried state, finite check, norm from before the clip, averaged weights."""

import pytest
import torch

from lstmusic.errors import CheckpointError
from lstmusic.evaluation.likelihood import to_window
from lstmusic.training.module import Tally


def test_a_step_learns(module_of, batch):
    module = module_of()
    nats = []
    for _ in range(30):
        module.training_step(batch(0, 0), 0)
        nats.append(module.read().per_token)
        module.tally = Tally()
    assert nats[-1] < 0.8 * nats[0]
    assert module.skipped_steps == 0
    assert module.window_index == 30


def test_what_a_step_measures(module_of, lanes, batch):
    module = module_of()
    window = to_window(lanes.window(0, 0))
    with torch.no_grad():
        expected, _ = module.model(window)
    module.training_step(batch(0, 0), 0)
    tally = module.read()
    assert tally.tokens == int(window.scored.sum())
    assert tally.nats == pytest.approx(float(expected[window.scored].sum()), rel=1e-5)


def test_a_loss_that_is_not_finite_is_skipped_and_counted(module_of, weights_of, batch):
    module = module_of()
    module.training_step(batch(0, 0), 0)
    assert module.state is not None
    before, averaged = weights_of(module.model), weights_of(module.averaged)
    optimizer = str(module.optimizers().state_dict()["state"])
    spoilt = batch(0, 1)
    spoilt[1].weight[0, 0] = torch.nan
    module.training_step(spoilt, 1)
    module.read()
    assert module.skipped_steps == 1
    assert torch.equal(weights_of(module.model), before)
    assert not torch.equal(averaged, before)  # the mean takes the weights as the skipped step left them
    torch.testing.assert_close(weights_of(module.averaged), averaged + (before - averaged) * (1 - 2 / 11))
    assert str(module.optimizers().state_dict()["state"]) == optimizer
    assert not any(part.any() for part in module.state)
    module.training_step(((0, 2), batch(0, 1)[1]), 2)
    module.read()
    assert module.skipped_steps == 1
    assert weights_of(module.model).isfinite().all()
    assert not torch.equal(weights_of(module.model), before)


def test_a_gradient_that_is_not_finite_is_skipped(module_of, weights_of, batch):
    module = module_of()
    module.manual_backward = lambda loss: (loss.backward(), module.model.output_bias.grad.fill_(torch.inf))
    before = weights_of(module.model)
    module.training_step(batch(0, 0), 0)
    module.read()
    assert module.skipped_steps == 1
    assert torch.equal(weights_of(module.model), before)


def test_the_norm_is_the_one_from_before_the_clip(module_of, lanes, batch):
    norms, clipped = [], []
    for limit in (1e9, 1e-3):
        module = module_of(max_grad_norm=limit)
        module.training_step(batch(0, 0), 0)
        norms.append(module.read().grad_norm)
        gradients = [p.grad for p in module.model.parameters() if p.grad is not None]
        clipped.append(float(torch.nn.utils.get_total_norm(gradients)))
    assert norms[0] == norms[1] == pytest.approx(clipped[0])
    assert norms[0] > 1e-2
    assert clipped[1] == pytest.approx(1e-3, rel=1e-3)


def test_the_state_is_carried_and_fresh_at_an_epochs_start(module_of, batch):
    module = module_of()
    seen = []
    forward = module.model.forward
    module.model.forward = lambda window, state: (seen.append(state), forward(window, state))[1]
    for epoch, step in ((0, 0), (0, 1), (1, 0)):
        module.training_step(batch(epoch, step), 0)
        left = module.state
        assert not any(part.requires_grad for part in left)
        assert module.position == (epoch, step + 1)
        if (epoch, step) == (0, 0):
            first = left
    assert seen[0] is None
    assert all(torch.equal(a, b) for a, b in zip(seen[1], first, strict=True))
    assert seen[2] is None


def test_the_average_follows_the_weights(module_of, weights_of, batch):
    module = module_of()
    start = weights_of(module.averaged)
    module.training_step(batch(0, 0), 0)
    decay = 1 / 10  # (1 + n) / (10 + n) of the first step
    expected = decay * start + (1 - decay) * weights_of(module.model)
    torch.testing.assert_close(weights_of(module.averaged), expected)
    assert not any(p.requires_grad for p in module.averaged.parameters())


def test_weight_decay_spares_vectors(module_of):
    groups = module_of().configure_optimizers().param_groups
    assert all(p.ndim > 1 for p in groups[0]["params"])
    assert all(p.ndim < 2 for p in groups[1]["params"])
    assert groups[1]["weight_decay"] == 0
    assert sum(len(group["params"]) for group in groups) == len(list(module_of().model.parameters()))


def test_shorter_windows_take_shorter_steps(module_of, batch):
    rates = []
    for window_steps in (None, 16, 64):
        module = module_of(window_steps=window_steps)
        module.training_step(batch(0, 0), 0)
        rates.append(module.optimizers().param_groups[0]["lr"])
    assert rates[0] == rates[1] == pytest.approx(4 * rates[2])


@pytest.mark.parametrize("average", ["none", "asgd"])
def test_without_a_moving_average_the_weights_themselves_are_evaluated(module_of, batch, weights_of, average):
    module = module_of(average=average)
    for step in range(3):
        module.training_step(batch(0, step), step)
        assert torch.equal(weights_of(module.averaged), weights_of(module.model))


def test_what_is_read_late_adds_up_the_same(module_of, batch):
    often, rarely = module_of(), module_of()
    rarely.model.load_state_dict(often.model.state_dict())
    for step in range(3):
        for module in (often, rarely):
            torch.manual_seed(step)
            module.training_step(batch(0, step), step)
        often.read()
    assert often.read() == rarely.read()
    assert often.tally.tokens > 0


def test_a_run_of_another_number_of_processes_is_refused(module_of, batch):
    module, saved = module_of(), {}
    module.training_step(batch(0, 0), 0)
    module.on_save_checkpoint(saved)
    saved["lstmusic"]["ranks"] *= 2
    with pytest.raises(CheckpointError, match="1 processes, expected 2 as the run began"):
        module.on_load_checkpoint(saved)
