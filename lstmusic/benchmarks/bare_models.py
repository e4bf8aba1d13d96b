"""What lstmusic's training is measured beside: a language model of torch's own layers and nothing else."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

LEARNING_RATE = 1e-3
MAX_GRAD_NORM = 1.0
LAYERS = {"gru": nn.GRU, "lstm": nn.LSTM}


class BareModel(nn.Module):
    """Embedding, torch's recurrent layers, linear map.

    Args:
        cell: `gru` or `lstm`.
        num_ids: V. hidden_size: H, also of the embedding. num_layers: L.
        loop: call the layers once per step, as Performance-RNN-PyTorch trains; else once per window.
    """

    def __init__(self, cell: str, num_ids: int, hidden_size: int, num_layers: int, *, loop: bool = False) -> None:
        super().__init__()
        self.loop = loop
        self.embedding = nn.Embedding(num_ids, hidden_size)
        self.layers: nn.RNNBase = LAYERS[cell](hidden_size, hidden_size, num_layers, batch_first=True)
        self.output = nn.Linear(hidden_size, num_ids)

    def forward(self, ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Logits [B, T, V] of ids [B, T], and the state after them."""
        if not self.loop:
            hidden, state = self.layers(self.embedding(ids), state)
            return self.output(hidden), state
        logits = []
        for step in range(ids.shape[1]):
            hidden, state = self.layers(self.embedding(ids[:, step : step + 1]), state)
            logits.append(self.output(hidden))
        return torch.cat(logits, dim=1), state


class BareTraining:
    """Cross-entropy, clip and Adam around a `BareModel`; the state is carried from window to window."""

    def __init__(self, model: BareModel, device: torch.device, dtype: torch.dtype) -> None:
        self.model, self.device, self.dtype = model.to(device), device, dtype
        self.optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
        self.state: Any = None

    def step(self, previous: Tensor, targets: Tensor) -> None:
        """Learn the targets [B, T], each given the ids [B, T] up to the one before it."""
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            logits, state = self.model(previous, self.state)
        loss = functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())
        self.state = tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), MAX_GRAD_NORM)
        self.optimizer.step()
