"""A model folder that explains itself: safetensors, JSON and YAML; loading it runs no code from it.

model.safetensors   the weights
config.yaml         format, encoding, model sizes, checksum of the weights, how it was trained, what it reached
vocabulary.json     the id table and the features that the weights were made for
split.json          the names of the pieces of each split
card.md             the same for people

Other rooms may keep more beside them (`extras`).
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
import yaml
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from lstmusic import __version__
from lstmusic.errors import CheckpointError, ConfigError, OutputError, VocabularyError
from lstmusic.events import codec as codecs
from lstmusic.events.codec import Codec
from lstmusic.models.frame_model import FrameModel
from lstmusic.models.language_model import RecurrentLanguageModel
from lstmusic.models.model import Model

FORMAT = 1
DTYPES = {"float32": torch.float32, "float16": torch.float16}
FRAME_SIZES = (
    *("output", "cell", "embedding_size", "hidden_size", "num_layers"),
    *("input_dropout", "dropout", "head_dropout", "weight_drop", "echoes"),
)
FILES = ("model.safetensors", "config.yaml", "vocabulary.json")


@dataclass(frozen=True)
class ModelFolder:
    """What a model folder holds.

    Attributes:
        model: in evaluation mode, float32, on the CPU.
        codec: its encoding.
        path: the folder itself; None: the model lies in none.
        facts: how it was trained and what it reached, as `save` was given.
        split: the names of the pieces of each split.
        sha256: of the weights' file.
        sizes: what `build_model` made the model of.
    """

    model: Model
    codec: Codec
    path: Path | None
    facts: dict[str, Any] = field(default_factory=dict)
    split: dict[str, list[str]] = field(default_factory=dict)
    sha256: str = ""
    sizes: dict[str, Any] = field(default_factory=dict)


def build_model(codec: Codec, sizes: dict[str, Any]) -> Model:
    """A fresh model for an encoding; `sizes` are the arguments that a user chooses."""
    output = sizes.get("output", "ids")
    if output != "ids":
        return _frame_model(codec, sizes)
    return RecurrentLanguageModel(
        num_ids=len(codec.vocabulary),
        group_size=codec.group_size,
        feature_sizes=list(codec.grammar.column_sizes.values()),
        num_flags=codec.grammar.num_flags,
        **{name: size for name, size in sizes.items() if name not in ("output", "echoes")},
    )


def _frame_model(codec: Codec, sizes: dict[str, Any]) -> FrameModel:
    up, down = ([codec.vocabulary.id(kind, is_down) for kind in codec.note_kinds] for is_down in (0, 1))
    return FrameModel(
        num_ids=len(codec.vocabulary),
        num_keys=codec.group_size,
        up_ids=up,
        down_ids=down,
        **{name: size for name, size in sizes.items() if name in FRAME_SIZES},
    )


def save(
    folder: Path,
    model: Model,
    codec: Codec,
    *,
    sizes: dict[str, Any],
    facts: dict[str, Any],
    split: dict[str, list[str]],
    card: str,
    dtype: str = "float32",
    extras: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Write a model folder beside its place and rename it, so that it is there whole or not at all.

    Args:
        sizes: what `build_model` needs to make the model again.
        dtype: `float32`, or `float16` for half the size.
        extras: more files, by name.

    Raises:
        OutputError: the folder cannot be written.
    """
    tensors = {name: value.detach().cpu().to(DTYPES[dtype]).contiguous() for name, value in model.state_dict().items()}
    weights = save_tensors(tensors)
    config = {
        "format": FORMAT,
        "lstmusic": __version__,
        "encoding": {"name": codec.name, **codec.options},
        "model": sizes,
        "weights": {"sha256": hashlib.sha256(weights).hexdigest(), "dtype": dtype, "bytes": len(weights)},
        **facts,
    }
    beside = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    try:
        beside.mkdir(parents=True, exist_ok=True)
        (beside / "model.safetensors").write_bytes(weights)
        (beside / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
        (beside / "vocabulary.json").write_text(json.dumps(_vocabulary(codec), indent=1))
        (beside / "split.json").write_text(json.dumps(split, indent=1))
        (beside / "card.md").write_text(card)
        for name, content in extras.items():
            (beside / name).write_bytes(content)
        _replace(folder, beside)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror})") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _replace(folder: Path, beside: Path) -> None:
    """Put a finished folder in the place of an older one, which is gone only when the new one stands."""
    _recover(folder)
    old = folder.with_name(f"{folder.name}.{os.getpid()}.old")
    if folder.exists():
        folder.rename(old)
    try:
        beside.rename(folder)
    except OSError:
        _recover(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _recover(folder: Path) -> None:
    """Put back the older folder that a kill between the two renames of `_replace` left beside its place."""
    left = sorted(folder.parent.glob(f"{glob.escape(folder.name)}.*.old"))
    if left and not folder.exists():
        left[-1].rename(folder)


def _vocabulary(codec: Codec) -> dict[str, Any]:
    features = {"columns": codec.grammar.column_sizes, "flags": codec.grammar.num_flags}
    return {"ranges": codec.vocabulary.to_json(), "features": features}


def load(folder: Path) -> ModelFolder:
    """Open a model folder.

    Raises:
        CheckpointError: it is missing, torn, altered, or of a later format; the message names the file.
        VocabularyError: this version's encoding has another vocabulary than the weights were made for.
    """
    _recover(folder)
    for name in FILES:
        if not (folder / name).is_file():
            raise CheckpointError(
                f"checkpoint={folder}: {name} is missing, expected a model folder with {', '.join(FILES)}"
            )
    try:
        config = yaml.safe_load((folder / "config.yaml").read_text())
        vocabulary = json.loads((folder / "vocabulary.json").read_text())
        split_file = folder / "split.json"
        split = json.loads(split_file.read_text()) if split_file.is_file() else {}
        encoding, sizes, expected = dict(config["encoding"]), config["model"], config["weights"]["sha256"]
    except (ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise CheckpointError(
            f"checkpoint={folder}: config.yaml, vocabulary.json or split.json is damaged ({error!r:.80})"
        ) from error
    if config.get("format") != FORMAT:
        raise CheckpointError(f"checkpoint={folder}: format {config.get('format')!r}, expected {FORMAT}")
    weights = (folder / "model.safetensors").read_bytes()
    found = hashlib.sha256(weights).hexdigest()
    if found != expected:
        raise CheckpointError(
            f"{folder / 'model.safetensors'}: sha256 {found[:12]}…, expected {expected[:12]}… (altered or torn)"
        )
    try:
        codec = codecs.build(encoding.pop("name"), **encoding)
        model = build_model(codec, sizes)
    except (ConfigError, KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise CheckpointError(f"checkpoint={folder}: config.yaml makes no model ({error!r:.120})") from error
    if json.loads(json.dumps(_vocabulary(codec))) != vocabulary:
        raise VocabularyError(
            f"{folder / 'vocabulary.json'}: not the vocabulary of encoding {codec.name!r} in lstmusic {__version__}"
        )
    try:
        model.load_state_dict({name: value.float() for name, value in load_tensors(weights).items()})
    except RuntimeError as error:
        raise CheckpointError(f"{folder / 'model.safetensors'}: {str(error).splitlines()[0]}") from error
    facts = {k: v for k, v in config.items() if k not in ("format", "lstmusic", "encoding", "model", "weights")}
    return ModelFolder(model.eval(), codec, folder, facts, split, found, sizes)
