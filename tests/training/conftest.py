"""A tiny corpus and a module in training, without the Trainer around it."""

import numpy as np
import pytest
import torch

from lstmusic.corpus.lanes import Augmentation, Lanes
from lstmusic.evaluation.likelihood import to_window
from lstmusic.events import codec as codecs
from lstmusic.training.module import TrainingModule
from lstmusic.training.schedule import Budget


@pytest.fixture
def chorale():
    return codecs.build("chorale")


@pytest.fixture
def lanes(chorale, phrase):
    """Two lanes of three pieces."""
    pieces = [chorale.encode(phrase(bars=2, seed=seed)) for seed in range(3)]
    steps = np.array([len(ids) // chorale.group_size - 1 for ids in pieces])
    return Lanes(
        read=pieces.__getitem__,
        steps=steps,
        codec=chorale,
        num_lanes=2,
        window_steps=16,
        augmentation=Augmentation(max_semitones=2),
    )


@pytest.fixture
def batch(lanes):
    """A function: the window of an epoch and step as a training step takes it."""
    return lambda epoch, step: ((epoch, step), to_window(lanes.window(epoch, step)))


@pytest.fixture
def module_of(tiny_model, chorale):
    """A function: a training module with its optimizer, ready for `training_step`."""

    def build(max_grad_norm=1.0, average="ema", window_steps=None, **sizes) -> TrainingModule:
        module = TrainingModule(
            tiny_model(chorale, **{"input_dropout": 0.0, **sizes}).train(),
            average=average,
            window_steps=window_steps,
            budget=Budget(max_steps=100),
            learning_rate=1e-2,
            weight_decay=0.0,
            max_grad_norm=max_grad_norm,
            ema_decay=0.9,
        )
        optimizer = module.configure_optimizers()
        module.optimizers = lambda: optimizer
        module.manual_backward = lambda loss: loss.backward()
        return module

    return build


@pytest.fixture
def weights_of():
    """A function: all weights of a module as one vector."""
    return lambda module: torch.cat([p.detach().flatten().clone() for p in module.parameters()])
