"""Folders of tiny models for the tables that measure songs."""

import pytest
import torch

from lstmusic.events import codec as codecs
from lstmusic.training import checkpoint

SIZES = {"hidden_size": 12, "embedding_size": 8, "num_layers": 1}


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory):
    """A function: the path of a folder with an untrained model of an encoding, as a checkpoint is named."""
    made = {}

    def build(name: str, **options) -> str:
        key = (name, *options.items())
        if key not in made:
            torch.manual_seed(0)
            codec = codecs.build(name, **options)
            folder = tmp_path_factory.mktemp(name) / "model"
            facts = {"results": {"split": "valid", "nll_per_token": 3.0}}
            model = checkpoint.build_model(codec, SIZES)
            checkpoint.save(folder, model, codec, sizes=SIZES, facts=facts, split={}, card="A card.\n")
            made[key] = str(folder)
        return made[key]

    return build
