"""MusicModel: weights, encoding and sampler in one object; what `lstmusic.load` returns."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lstmusic import __version__
from lstmusic.corpus.lanes import Arrays, piece_arrays
from lstmusic.errors import CheckpointError, GenerationError
from lstmusic.evaluation.likelihood import piece_nats, to_window
from lstmusic.evaluation.surprise import Surprise, surprise
from lstmusic.sampling.sampler import MAX_BARS, Length, Sampled, SamplingSettings, sample
from lstmusic.schema import suggestion
from lstmusic.score import Score
from lstmusic.training import checkpoint
from lstmusic.training.checkpoint import ModelFolder

PRETRAINED = Path(__file__).parent / "pretrained"
MAX_BATCH = 64  # songs written side by side
ATTEMPTS = 5  # seeds tried for a song that comes out without notes


@dataclass(frozen=True)
class Song:
    """One generated song.

    Attributes:
        score: the music.
        ids: int64 [N], BOS group and primer included.
        legal: whether the grammar allows every id.
        report: seed, ids and new_ids (those drawn), notes, seconds, bars, nats_per_token, illegal, what a primer lost.
        surprise: nats of each note and bar of the score, under the model at temperature 1.
    """

    score: Score
    ids: np.ndarray
    legal: bool
    report: dict[str, Any] = field(default_factory=dict)
    surprise: Surprise | None = None


@dataclass(frozen=True)
class _Primer:
    """A primer as ids without its ending, its hash, and what encoding it left out."""

    ids: np.ndarray | None = None
    sha256: str = ""
    losses: dict[str, int] = field(default_factory=dict)


def load(name: str | Path) -> MusicModel:
    """Open a bundled model by name, or the folder of a model or of a training run.

    Raises:
        CheckpointError: there is none, or its files are torn or altered.
    """
    bundled = sorted(file.parent.name for file in PRETRAINED.glob("*/config.yaml"))
    for folder in (Path(name) / "model", Path(name), PRETRAINED / str(name)):
        if (folder / "config.yaml").is_file() or (folder / "model.safetensors").is_file():
            return MusicModel(checkpoint.load(folder), name=str(name))
    if Path(name).is_dir():
        checkpoint.load(Path(name))  # names the file that is missing
    hint = suggestion(str(name), bundled)
    raise CheckpointError(f"checkpoint={name}: expected a bundled model ({', '.join(bundled)}) or a model folder{hint}")


class MusicModel:
    """A trained model, ready to write and to judge music."""

    def __init__(self, folder: ModelFolder, name: str = "") -> None:
        self.folder, self.name = folder, name
        self.model, self.codec = folder.model, folder.codec

    def generate(
        self,
        songs: int = 4,
        *,
        temperature: float = 1.0,
        seed: int = 0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        greedy: bool = False,
        length_bars: float | None = None,
        length_seconds: float | None = None,
        primer: Score | None = None,
        primer_in_output: bool = True,
    ) -> list[Song]:
        """Write songs. Song i of a seed does not depend on how many are asked for.

        Args:
            temperature, top_k, top_p, min_p, greedy: see `sampling.sampler.SamplingSettings`.
            length_bars, length_seconds: new music beyond the primer; without either each song ends itself.
            primer: music that each song begins with; what the encoding cannot carry is left out and reported.
            primer_in_output: whether the songs contain the primer, or only what follows it.

        Raises:
            ConfigError: a setting is out of its range.
            ReadError: the primer has no notes that the encoding can carry.
            GenerationError: a song had no notes with any of the seeds tried.
        """
        settings = SamplingSettings(temperature, top_k, top_p, min_p, greedy)
        length = Length(length_bars, length_seconds)
        start = self._primer(primer)
        facts = {
            "lstmusic": __version__,
            "checkpoint": self.name,
            "model_sha256": self.folder.sha256,
            **settings.__dict__,
            "length_bars": length_bars,
            "length_seconds": length_seconds,
            "primer_sha256": start.sha256,
            "primer_in_output": primer_in_output,
        }
        made: dict[int, Song] = {}
        for attempt in range(ATTEMPTS):
            missing = [i for i in range(songs) if i not in made]
            for block in (missing[k : k + MAX_BATCH] for k in range(0, len(missing), MAX_BATCH)):
                generators = [np.random.default_rng((seed, i, attempt)) for i in block]
                written = sample(
                    self.model, self.codec.grammar, generators, settings=settings, length=length, primer=start.ids
                )
                for i, sampled in zip(block, written, strict=True):
                    provenance = {**facts, "seed": seed, "song": i + 1, "attempt": attempt}
                    song = self._song(sampled, provenance, start, primer_in_output, length)
                    if song.report["new_notes"] > 0:
                        made[i] = song
        if len(made) < songs:
            raise GenerationError(
                f"{songs - len(made)} of {songs} songs came out without new notes, {ATTEMPTS} seeds tried for each; "
                "expected notes: try another temperature, or train longer"
            )
        return [made[i] for i in range(songs)]

    def _primer(self, primer: Score | None) -> _Primer:
        if primer is None:
            return _Primer()
        losses: Counter = Counter()
        ids = self.codec.encode(primer, losses).astype(np.int64)[: -self.codec.group_size]
        return _Primer(ids, hashlib.sha256(ids.tobytes()).hexdigest(), dict(+losses))

    def _bars(self, ids: np.ndarray | None) -> float:
        """Bars of music in legal ids, by the encoding's own meter."""
        return 0.0 if ids is None else self.codec.grammar.length(self.codec.grammar.trajectory(ids)[-1:])[0].item()

    def _song(
        self, sampled: Sampled, provenance: dict[str, Any], primer: _Primer, primer_in_output: bool, length: Length
    ) -> Song:
        whole = self.codec.decode(sampled.ids)
        primer_ticks = 0 if primer.ids is None else self.codec.decode(primer.ids).end_tick
        new = whole if primer.ids is None else whole.after(primer_ticks)
        score = whole if primer_in_output else new
        score = replace(score, texts=((0, json.dumps(provenance)), *score.texts))
        new_bars = self._bars(sampled.ids) - self._bars(primer.ids)
        scored = self.codec.scored(sampled.ids[-len(sampled.nats) :])
        legal = self.codec.grammar.legal(sampled.ids)
        report = {
            "seed": provenance["seed"],
            "attempt": provenance["attempt"],
            "ids": len(sampled.ids),
            "new_ids": len(sampled.nats),
            "notes": len(score.notes),
            "new_notes": len(new.notes),
            "seconds": round(score.length_s, 3),
            "bars": len(score.bar_ticks()) - 1 - (score.pickup_tick > 0),  # an upbeat completes the last bar
            "nats_per_token": float(sampled.nats[scored].mean()) if scored.any() else 0.0,
            "illegal": int((~legal).sum()),
            "closed_at_limit": not length.given and new_bars >= MAX_BARS,
            "primer_changes": primer.losses,
        }
        start_tick = 0 if primer_in_output else primer_ticks
        told = surprise(self.codec, sampled.ids, sampled.nats, whole, start_tick)
        return Song(score, sampled.ids, bool(legal.all()), report, told)

    def nll(self, score: Score) -> np.ndarray:
        """Nats of a piece under the model, float64 [N]: one per scored token (music, not headers or the ending)."""
        ids = self.codec.encode(score)
        nats = piece_nats(self.model, self.codec, ids)
        return nats[self.codec.scored(ids)[self.codec.group_size :]]

    @torch.no_grad()
    def next_distribution(self, ids: np.ndarray, grammar: bool = True) -> np.ndarray:
        """The probability of each id to come next, float64 [V], summing to 1.

        Args:
            ids: legal ids so far, int [N], from the BOS group on; a group may be unfinished.
            grammar: give illegal ids probability 0, as in training and sampling.

        Raises:
            IllegalSequenceError: the grammar does not allow the ids.
        """
        group = self.codec.group_size
        ids = np.asarray(ids, np.int64)
        padded = np.r_[ids, np.zeros(group - len(ids) % group, np.int64)]
        self.codec.grammar.check_prefix(ids)
        arrays = piece_arrays(self.codec, padded)
        window = to_window(Arrays(*(f[None] for f in arrays)))
        if not grammar:
            window = window._replace(allowed=torch.ones_like(window.allowed))
        logits, _ = self.model.eval().logits(window)
        return torch.softmax(logits[0].flatten(0, 1)[len(ids) - group].double(), dim=-1).numpy()
