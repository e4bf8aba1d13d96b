"""MusicModel: weights, encoding and sampler in one object; what `lstmusic.load` returns."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lstmusic.corpus.lanes import Arrays, piece_arrays
from lstmusic.errors import CheckpointError, ConfigError, GenerationError, IllegalSequenceError
from lstmusic.evaluation.likelihood import piece_nats, to_window
from lstmusic.evaluation.surprise import Surprise, surprise
from lstmusic.provenance import Plan, facts_about, of_song
from lstmusic.sampling import calibration
from lstmusic.sampling.controls import Controls
from lstmusic.sampling.repetition import loop_share
from lstmusic.sampling.sampler import Sampled, sample
from lstmusic.sampling.settings import Curve, Length, Repetition, SamplingSettings, curve_of
from lstmusic.sampling.songs import BLOCK, MAX_BARS
from lstmusic.schema import suggestion
from lstmusic.score import Score
from lstmusic.training import checkpoint
from lstmusic.training.checkpoint import ModelFolder

PRETRAINED = Path(__file__).parent / "pretrained"
ATTEMPTS = 5  # seeds tried for a song that comes out without notes


@dataclass(frozen=True)
class Song:
    """One generated song.

    Attributes:
        score: the music.
        ids: int64 [N], BOS group and primer included.
        legal: whether the grammar allows every id.
        report: seed, attempt and temperature; ids, new_ids (those drawn), notes, new_notes, seconds, bars, nats_per_token,
            illegal; loops, the share of groups inside one; overruled, overlong, stuck, closed_at_limit: what did not come
            out as it was asked for; primer_changes, what a primer lost.
        surprise: nats of each note and bar of the score, under the model at temperature 1.
        nats: of each id that was drawn, float64 [new_ids], the last ones of `ids`.
    """

    score: Score
    ids: np.ndarray
    legal: bool
    report: dict[str, Any] = field(default_factory=dict)
    surprise: Surprise | None = None
    nats: np.ndarray = field(default_factory=lambda: np.zeros(0))


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
        temperature: float | Curve | str = 1.0,
        seed: int = 0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        greedy: bool = False,
        pitch_temperature: float = 1.0,
        time_temperature: float = 1.0,
        velocity_temperature: float = 1.0,
        length_bars: float | None = None,
        length_seconds: float | None = None,
        cadence: bool = True,
        controls: Controls | None = None,
        repetition: Repetition | None = None,
        primer: Score | None = None,
        primer_in_output: bool = True,
        weights: str = "float32",
    ) -> list[Song]:
        """Write songs. Song i of a seed does not depend on how many are asked for.

        Args:
            temperature: a number, a curve over bars, or `auto`: see `calibrated_temperature`.
            top_k, top_p, min_p, greedy, pitch_temperature, time_temperature, velocity_temperature: see
                `sampling.settings.SamplingSettings`.
            length_bars, length_seconds: new music beyond the primer; without either each song ends itself.
            cadence: of several ways to the end take one after which the model would end; see `sampling.ending`.
            controls: key, ranges, density, ...; see `sampling.controls.Controls`.
            repetition: loops and form; see `sampling.settings.Repetition`.
            primer: music that each song begins with; what the encoding cannot carry is left out and reported.
            primer_in_output: whether the songs contain the primer, or only what follows it.
            weights: how they are held while writing: `float32`, or faster and rounded `float16` or `int8`.

        Raises:
            ConfigError: a setting is out of its range, or the model or its encoding has not what it needs.
            ReadError: the primer has no notes that the encoding can carry.
            GenerationError: a song had no notes with any of the seeds tried.
        """
        if songs < 1:
            raise ConfigError(f"songs={songs}: expected 1 or more")
        automatic = isinstance(temperature, str) and temperature == "auto"
        sampling = SamplingSettings(
            1.0 if automatic else curve_of(temperature),
            *(top_k, top_p, min_p, greedy),
            *(pitch_temperature, time_temperature, velocity_temperature),
        )
        losses: Counter = Counter()
        plan = Plan(
            seed=seed,
            sampling=sampling,
            length=Length(length_bars, length_seconds, cadence),
            control=controls or Controls(),
            repetition=repetition or Repetition(),
            weights=weights,
            primer=None if primer is None else self.codec.encode(primer, losses)[: -self.codec.group_size],
            primer_in_output=primer_in_output,
        )
        if automatic:
            plan = replace(plan, sampling=replace(sampling, temperature=self.calibrated_temperature(sampling)))
        return self._with_notes(plan, songs, dict(+losses))

    def _with_notes(self, plan: Plan, songs: int, primer_changes: dict[str, int]) -> list[Song]:
        """So many songs, each of the first seed that gives it new notes."""
        made: dict[int, Song] = {}
        for attempt in range(ATTEMPTS):
            written = self._write(plan, {i: attempt for i in range(songs) if i not in made}, primer_changes)
            made |= {i: song for i, song in written.items() if song.report["new_notes"] > 0}
            if len(made) == songs:
                return [made[i] for i in range(songs)]
        raise GenerationError(
            f"{songs - len(made)} of {songs} songs came out without new notes, {ATTEMPTS} seeds tried for each; "
            "expected notes: try another temperature, or train longer"
        )

    def regenerate(self, facts: dict[str, Any]) -> Song:
        """The song whose provenance this is (`provenance.facts_of`), written again.

        Raises:
            ConfigError: a setting is not known here, or damaged.
        """
        plan = Plan.of(facts)
        if plan.primer is not None:
            try:
                self.codec.grammar.check(plan.primer)
            except IllegalSequenceError as error:
                raise ConfigError(
                    f"provenance: the primer's ids are not legal ({error}), expected those of a song"
                ) from error
        (song,) = self._write(plan, {facts["song"] - 1: facts["attempt"]}).values()
        return song

    @property
    def held_out_nats(self) -> float | None:
        """Nats per token on the held-out pieces of its training; None where its folder does not tell."""
        results = self.folder.facts.get("results", {})
        return results.get("nll_per_token") if results.get("split") == "valid" else None

    def calibrated_temperature(self, sampling: SamplingSettings) -> float:
        """The temperature at which songs are as surprising to the model as the held-out pieces of its training were.

        Args:
            sampling: what else songs are drawn by; its temperature does not count.

        Raises:
            ConfigError: the model's folder does not tell its nats on held-out pieces.
        """
        if self.held_out_nats is None:
            raise ConfigError(
                f"temperature=auto: {self.name or 'the model'} does not tell its nats on held-out pieces, expected a number"
            )
        return calibration.temperature(self.model, self.codec, sampling, self.held_out_nats)

    def _write(
        self, plan: Plan, attempts: dict[int, int], primer_changes: dict[str, int] | None = None
    ) -> dict[int, Song]:
        """Songs by number (from 0), each with the seed of one attempt; the place in a block follows from the number."""
        first = min(attempts) // BLOCK * BLOCK
        generators = [
            np.random.default_rng((plan.seed, i, attempts[i])) if i in attempts else None
            for i in range(first, max(attempts) + 1)
        ]
        written = sample(
            self.model,
            self.codec.grammar,
            generators,
            settings=plan.sampling,
            length=plan.length,
            primer=plan.primer,
            controls=plan.control,
            repetition=plan.repetition,
            weights=plan.weights,
        )
        songs, facts = {}, facts_about(plan, self.name, self.folder.sha256)
        for i, sampled in zip(sorted(attempts), written, strict=True):
            songs[i] = self._song(sampled, plan, facts, i + 1, attempts[i])
            songs[i].report["primer_changes"] = primer_changes or {}
        return songs

    def _bars(self, ids: np.ndarray | None) -> float:
        """Bars of music in legal ids, by the encoding's own meter."""
        return 0.0 if ids is None else self.codec.grammar.length(self.codec.grammar.trajectory(ids)[-1:])[0].item()

    def _song(self, sampled: Sampled, plan: Plan, common: dict[str, Any], number: int, attempt: int) -> Song:
        whole = self.codec.decode(sampled.ids)
        primer_ticks = 0 if plan.primer is None else self.codec.decode(plan.primer).end_tick
        new = whole if plan.primer is None else whole.after(primer_ticks)
        score = whole if plan.primer_in_output else new
        facts = of_song(common, number, attempt, score)
        score = replace(score, texts=((0, json.dumps(facts)), *score.texts))
        new_bars = self._bars(sampled.ids) - self._bars(plan.primer)
        new_ids = sampled.ids[-len(sampled.nats) :]
        scored = self.codec.scored(new_ids)
        legal = self.codec.grammar.legal(sampled.ids)
        report = {
            "seed": facts["seed"],
            "attempt": facts["attempt"],
            "temperature": facts["sampling"]["temperature"],
            "ids": len(sampled.ids),
            "new_ids": len(sampled.nats),
            "notes": len(score.notes),
            "new_notes": len(new.notes),
            "seconds": round(score.length_s, 3),
            "bars": len(score.bar_ticks()) - 1 - (score.pickup_tick > 0),  # an upbeat completes the last bar
            "nats_per_token": float(sampled.nats[scored].mean()) if scored.any() else 0.0,
            "illegal": int((~legal).sum()),
            "loops": loop_share(new_ids.reshape(-1, self.codec.group_size)),
            "overruled": sampled.overruled,
            "overlong": sampled.overlong,
            "stuck": sampled.stuck,
            "closed_at_limit": not plan.length.given and new_bars >= MAX_BARS,
        }
        start_tick = 0 if plan.primer_in_output else primer_ticks
        told = surprise(self.codec, sampled.ids, sampled.nats, whole, start_tick)
        return Song(score, sampled.ids, bool(legal.all()), report, told, sampled.nats)

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
