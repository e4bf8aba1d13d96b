"""MusicModel: weights, encoding and sampler in one object; what `lstmusic.load` returns."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lstmusic import selection
from lstmusic.corpus.lanes import Arrays, piece_arrays
from lstmusic.errors import CheckpointError, ConfigError, IllegalSequenceError
from lstmusic.evaluation.likelihood import piece_nats, to_window
from lstmusic.evaluation.originality import Index
from lstmusic.evaluation.reference import Reference, index_of, reference_of
from lstmusic.infilling import Infill
from lstmusic.provenance import Plan
from lstmusic.sampling import calibration
from lstmusic.sampling.controls import Controls
from lstmusic.sampling.settings import Curve, Length, Repetition, SamplingSettings, curve_of
from lstmusic.sampling.snapshot import Snapshot
from lstmusic.schema import suggestion
from lstmusic.schema.checks import of_kind
from lstmusic.score import Score
from lstmusic.selection import Choice
from lstmusic.stopping import stopped
from lstmusic.training import checkpoint
from lstmusic.training.checkpoint import ModelFolder
from lstmusic.writing import ATTEMPTS, Song, Writer

PRETRAINED = Path(__file__).parent / "pretrained"


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
        self.writer = Writer(folder, name)

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
        infill: Infill | None = None,
        start: Snapshot | None = None,
        weights: str = "float32",
        max_shared_bars: float | None = None,
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
            infill: a piece of which some is written anew: each song is that piece. Lengths, primers and repetition are not
                for it. See `infilling.Infill`.
            start: where every song goes on from, instead of from a primer; lengths are of what comes after. See `snapshot`.
            weights: how they are held while writing: `float32`, or faster and rounded `float16` or `int8`.
            max_shared_bars: a song that has more bars in common with a training piece is written again.

        Raises:
            ConfigError: a setting is out of its range, or the model or its encoding has not what it needs.
            ReadError: the primer has no notes that the encoding can carry.
            GenerationError: a song had no notes, or shared too much, with any of the seeds tried.
        """
        if songs < 1:
            raise ConfigError(f"songs={songs}: expected 1 or more")
        self.check_selection(None, max_shared_bars)
        automatic = isinstance(temperature, str) and temperature == "auto"
        sampling = SamplingSettings(
            1.0 if automatic else curve_of(temperature),
            *(top_k, top_p, min_p, greedy),
            *(pitch_temperature, time_temperature, velocity_temperature),
        )
        asked = Plan(
            seed=seed,
            sampling=sampling,
            length=Length(length_bars, length_seconds, cadence),
            control=controls or Controls(),
            repetition=repetition or Repetition(),
            weights=weights,
            primer_in_output=primer_in_output,
            start=start,
        )
        plan, losses = self._plan(asked, primer, infill)
        if automatic:
            plan = replace(plan, sampling=replace(sampling, temperature=self.calibrated_temperature(sampling)))
        judge = selection.judge(self.index, self.reference, max_shared_bars)
        attempts = ATTEMPTS if max_shared_bars is None else selection.ATTEMPTS
        written = self.writer.accepted(plan, songs, judge, attempts)
        for song in written:
            song.report["primer_changes" if infill is None else "told_without"] = dict(+losses)
        return written

    def _plan(self, asked: Plan, primer: Score | None, infill: Infill | None) -> tuple[Plan, Counter]:
        """A plan with the ids of a primer or of a piece that is rewritten, and what the encoding loses of it.

        Raises:
            ConfigError: they do not go together with what else is asked for, or the encoding cannot rewrite the piece.
            ReadError: the primer has no notes that the encoding can carry.
        """
        of_kind("primer", primer, Score | None, "a Score, as Score.read gives it")
        of_kind("infill", infill, Infill | None, "an Infill, which is of a Score")
        of_kind("start", asked.start, Snapshot | None, "a Snapshot, as Snapshot.read gives it")
        if infill is not None and (asked.length.given or primer is not None or asked.repetition.least):
            raise ConfigError("infill: came with a length, a primer or repetition.least, expected the piece alone")
        losses: Counter = Counter()
        plan = replace(
            asked,
            primer=None if primer is None else self.codec.encode(primer, losses)[: -self.codec.group_size],
            infill=None if infill is None else infill.task(self.codec, losses),
        )
        self._check_start(plan, "start")
        return plan, losses

    def choose(self, songs: list[Song], keep: int) -> Choice:
        """The songs that together are most like held-out music and like nothing else too much; see `evaluation.choosing`.

        Args:
            songs: all that `generate` wrote, in its order.

        Raises:
            ConfigError: the model's folder does not tell of held-out and training pieces, or there are not so many songs.
        """
        if not 1 <= keep <= len(songs):
            raise ConfigError(f"choose: keep={keep} of {len(songs)} songs, expected 1 to as many as there are")
        self.check_selection(len(songs))
        assert self.index is not None
        assert self.reference is not None
        return selection.best(songs, keep, self.index, self.reference)

    def check_selection(self, candidates: int | None, max_shared_bars: float | None = None) -> None:
        """Raise ConfigError where `generate` could not select songs so; see `selection.check`."""
        selection.check(self.name, self.index, self.reference, candidates, max_shared_bars)

    @cached_property
    def index(self) -> Index | None:
        """The notes of its training pieces; None where its folder does not tell them."""
        return index_of(self.folder.path)

    @cached_property
    def reference(self) -> Reference | None:
        """What its held-out pieces are like; None where its folder does not tell that."""
        return reference_of(self.folder.path)

    def regenerate(self, facts: dict[str, Any], written: Score) -> Song:
        """The song whose provenance this is (`provenance.facts_of`), written again.

        Args:
            written: the song as it came out: of a piece that is written anew in part, what stays is taken from it.

        Raises:
            ConfigError: a setting is not known here, or damaged.
        """
        plan = Plan.of(facts)
        if plan.infill is not None:
            self._check_ids(plan.infill.ids, "piece", whole=True)
            plan = replace(plan, infill=replace(plan.infill, piece=written))
        if plan.primer is not None:
            self._check_ids(plan.primer, "primer")
        self._check_start(plan, "provenance: its start")
        (song,) = self.writer.write(plan, {facts["song"] - 1: facts["attempt"]}).values()
        return song

    def _check_ids(self, ids: np.ndarray, name: str, whole: bool = False) -> None:
        """Raise ConfigError where ids of a provenance are not legal, or of a whole piece do not end it."""
        try:
            self.codec.grammar.check(ids)
        except IllegalSequenceError as error:
            raise ConfigError(
                f"provenance: the {name}'s ids are not legal ({error}), expected those of a song"
            ) from error
        if whole and ids[-self.codec.group_size] != self.codec.vocabulary.id("EOS"):
            raise ConfigError(f"provenance: the {name}'s ids do not end it, expected those of a song")

    def snapshot(self, music: Score | Song, bars: int | None = None, name: str = "") -> Snapshot:
        """Where a piece stands after so many bars: `generate(start=…)` goes on from there.

        Args:
            music: any piece, which the model hears; or a song of this model: then its state is the one that it had, and the
                song of the same seed, number and settings goes on as it did, but in the last two bars of a song of given
                length with a cadence: these are one of many ways, of which none goes on the same.
            bars: an upbeat before them does not count; None: all, before the ending.
            name: what it is to be called.

        Raises:
            ConfigError: there are not so many bars, or the song is of another model.
            ReadError: the piece has no notes that the encoding can carry.
        """
        return stopped(self.folder, self.name, music, bars, name)

    def _check_start(self, plan: Plan, name: str) -> None:
        """Raise ConfigError where songs of this model cannot go on from where a plan says."""
        if plan.start is None:
            return
        if plan.primer is not None or plan.infill is not None:
            raise ConfigError(f"{name}: came with a primer or a piece to be rewritten, expected one of them")
        try:
            plan.start.check(self.model, self.codec.grammar, self.folder.sha256)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from error

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
