"""A sampler: the notes of a score, played with a SoundFont into stereo sound, before any loudness.

symusic's synthesizer plays every note at the same velocity, without volume envelopes; this one follows both. Notes
of one pitch share one resampled, filtered and decaying wave, so that a note costs a slice, a release and an addition.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lstmusic.listening import soundfont as sf
from lstmusic.listening.soundfont import Region, SoundFont
from lstmusic.score import Score

FULL_SCALE = 32768.0
SILENCE_DB = 100.0  # the SoundFont envelopes count decay and release as the time to fall this far
AUDIBLE_DB = 70.0  # a release is cut once it has fallen this far
ATTENUATION_SCALE = 0.4  # what the hardware that SoundFonts are tuned for does with initialAttenuation; FluidSynth too
LONGEST_NOTE_S = 120.0  # what is held longer falls silent: a hanging note must not fill the memory
FILTER_MOMENT_S = 0.1  # the low-pass does not move: it stands where its envelope would have it at this time
ROOM_S, ROOM_LEVEL = 0.9, 0.16  # a small room: how long its echo takes to fall 60 dB, how loud it is beside the notes
ROOM_DELAY_S = 0.012
BLOCK = 1 << 16  # frames convolved with the room at a time


@dataclass(frozen=True)
class Voice:
    """One pitch of one region, ready to be cut to notes of any length.

    Attributes:
        wave: float32 [frames], held for ever, full velocity.
        release: float32 [frames], what the wave is multiplied with from its note's end on.
        pan: gains (left, right).
    """

    wave: np.ndarray
    release: np.ndarray
    pan: tuple[float, float]


def play(score: Score, font: SoundFont, sample_rate: int, tail_s: float) -> np.ndarray:
    """Every note of the score at the second that its tempo map says.

    Args:
        score: the music.
        font: the instruments.
        sample_rate: frames a second.
        tail_s: seconds that may sound on after the last note ends.

    Returns:
        float32 [2, frames], of any loudness.
    """
    notes = score.notes
    onset = np.rint(score.seconds(notes["onset_tick"]) * sample_rate).astype(np.int64)
    end = np.rint(score.seconds(notes["onset_tick"] + notes["duration_tick"]) * sample_rate).astype(np.int64)
    mix = np.zeros((2, int(end.max()) + int(tail_s * sample_rate)), np.float32)
    gains = (notes["velocity"] / 127.0) ** 2  # the SoundFont's concave curve
    instruments = np.stack([notes["track"].astype(np.int64), notes["pitch"].astype(np.int64)], axis=1)
    for track_index, pitch in np.unique(instruments, axis=0).tolist():
        track = score.tracks[track_index]
        mine = np.flatnonzero((notes["track"] == track_index) & (notes["pitch"] == pitch))
        for region in font.regions(track.program, track.drum, pitch):
            low, high = region.velocities
            rows = mine[(notes["velocity"][mine] >= low) & (notes["velocity"][mine] <= high)]
            if len(rows):
                voice = make_voice(region, font.samples, pitch, int((end - onset)[rows].max()), sample_rate)
                add_notes(mix, voice, onset[rows], end[rows], gains[rows])
    return mix


def add_notes(mix: np.ndarray, voice: Voice, onset: np.ndarray, end: np.ndarray, gains: np.ndarray) -> None:
    """Add a voice's notes to `mix` [2, frames]; onsets and ends int64 [N] in frames, gains [N]."""
    for start, stop, gain in zip(onset.tolist(), end.tolist(), gains.tolist(), strict=True):
        held = stop - start
        sound = voice.wave[: min(held + len(voice.release), mix.shape[1] - start)] * np.float32(gain)
        sound[held:] *= voice.release[: max(len(sound) - held, 0)]
        for side, pan in enumerate(voice.pan):
            mix[side, start : start + len(sound)] += sound * np.float32(pan)


def make_voice(region: Region, samples: np.ndarray, pitch: int, held: int, sample_rate: int) -> Voice:
    """One pitch of a region, long enough for a note of `held` frames and its release."""
    g = region.generators
    release_s = min(seconds_of(g[sf.RELEASE]), 20.0)
    fall_per_frame = SILENCE_DB / max(release_s, 1e-3) / sample_rate
    release = decibels(np.arange(int(AUDIBLE_DB / fall_per_frame)) * fall_per_frame)
    root = g[sf.ROOT_KEY] if g[sf.ROOT_KEY] >= 0 else min(int(region.sample["key"]), 127)
    cents = (pitch - root) * g[sf.SCALE_TUNING] + 100 * g.get(sf.COARSE_TUNE, 0) + g.get(sf.FINE_TUNE, 0)
    cents = np.clip(cents + int(region.sample["correction"]), -12_000, 6_000)
    step = float(region.sample["rate"]) / sample_rate * 2.0 ** (float(cents) / 1200)
    frames = min(held, int(LONGEST_NOTE_S * sample_rate)) + len(release)
    source = unrolled(region, samples, int(np.ceil(frames * step)) + 4)
    wave = resample(low_passed(source, region, sample_rate * step), step, frames)
    wave *= envelope(region, pitch, len(wave), sample_rate)
    side = np.clip(g.get(sf.PAN, 0) / 1000 + 0.5, 0, 1) * np.pi / 2
    return Voice(wave, release, (float(np.cos(side)), float(np.sin(side))))


def unrolled(region: Region, samples: np.ndarray, points: int) -> np.ndarray:
    """The region's sample with its loop written out, float32, at most `points` long, within -1..1."""
    start, end = region.sample_range
    loop = region.loop_range
    if loop is None or points <= loop[1] - start:
        return samples[start : min(end, start + points)] / np.float32(FULL_SCALE)
    once = samples[loop[0] : loop[1]]
    times = -(-(points - (loop[1] - start)) // len(once))
    return np.concatenate([samples[start : loop[1]], np.tile(once, times)])[:points] / np.float32(FULL_SCALE)


def low_passed(source: np.ndarray, region: Region, source_rate: float) -> np.ndarray:
    """`source` through the region's second-order low-pass, standing still; `source_rate` in points a second heard."""
    modulation_decay, modulation_sustain, envelope_to_cutoff = 28, 29, 11
    g = region.generators
    fallen = min(FILTER_MOMENT_S / seconds_of(g.get(modulation_decay, -12000)), g.get(modulation_sustain, 0) / 1000)
    cutoff_hz = 8.176 * 2 ** ((g[sf.FILTER_FC] + g.get(envelope_to_cutoff, 0) * (1 - fallen)) / 1200)
    if cutoff_hz > 0.4 * source_rate:
        return source
    size = good_fft_size(len(source) + 256)  # room at the end, so that the start does not hear it
    ratio = np.fft.rfftfreq(size, 1 / source_rate).astype(np.float32) / np.float32(cutoff_hz)
    response = 1 / (1 - ratio**2 + 1j * np.sqrt(np.float32(2)) * ratio)
    return np.fft.irfft(np.fft.rfft(source, size) * response.astype(np.complex64), size)[: len(source)]


def resample(source: np.ndarray, step: float, frames: int) -> np.ndarray:
    """Read `source` at `step` points a frame, by cubic interpolation: float32 [at most `frames`]."""
    frames = max(min(frames, int((len(source) - 3) / step)), 0)
    place = np.arange(frames) * step
    whole = place.astype(np.int64)
    t = (place - whole).astype(np.float32)
    before, here, after, later = (source[np.maximum(whole + k, 0)] for k in (-1, 0, 1, 2))
    bend = 2 * before - 5 * here + 4 * after - later + t * (3 * (here - after) + later - before)
    return (here + 0.5 * t * (after - before + t * bend)).astype(np.float32)


def envelope(region: Region, pitch: int, frames: int, sample_rate: int) -> np.ndarray:
    """The volume of a held note, float32 [frames]: delay, attack, hold, decay to the sustain level."""
    g = region.generators
    hold = g[sf.HOLD] + g.get(sf.KEY_TO_HOLD, 0) * (60 - pitch)
    decay = g[sf.DECAY] + g.get(sf.KEY_TO_DECAY, 0) * (60 - pitch)
    since_attack = np.arange(frames, dtype=np.float32) / sample_rate - np.float32(seconds_of(g[sf.DELAY]))
    since_decay = since_attack - np.float32(seconds_of(g[sf.ATTACK]) + seconds_of(hold))
    sustain_db = np.clip(g.get(sf.SUSTAIN, 0) / 10, 0, SILENCE_DB)
    fallen_db = np.clip(since_decay * np.float32(SILENCE_DB / seconds_of(decay)), 0, np.float32(sustain_db))
    level_db = ATTENUATION_SCALE * max(g.get(sf.ATTENUATION, 0), 0) / 10
    return decibels(fallen_db + np.float32(level_db)) * np.clip(since_attack / seconds_of(g[sf.ATTACK]), 0, 1)


def seconds_of(timecents: int) -> float:
    """Seconds of a SoundFont time, from 1 ms to 100 s."""
    return float(2.0 ** (np.clip(timecents, -12_000, 8_000) / 1200))


def decibels(down: np.ndarray) -> np.ndarray:
    """Amplitudes (float32) that lie `down` decibels below one."""
    return np.exp(np.asarray(down, np.float32) * np.float32(-np.log(10) / 20))


def good_fft_size(length: int) -> int:
    """A length at or above `length`, at most a quarter above, that has no large prime factor."""
    step = max(1 << max(length.bit_length() - 3, 0), 1)
    return -(-length // step) * step


def add_room(mix: np.ndarray, sample_rate: int) -> np.ndarray:
    """The sound (float32 [2, frames]) with the echo of a small room, made from noise that is always the same."""
    frames = int(ROOM_S * sample_rate)
    time_s = np.arange(frames) / sample_rate
    noise = np.random.default_rng(0).standard_normal((2, frames)) * 10 ** (-3 * time_s / ROOM_S)
    noise[:, : int(ROOM_DELAY_S * sample_rate)] = 0
    noise = np.cumsum(noise, axis=1) * 0.3 + noise  # darker than white, as walls are
    noise -= np.cumsum(noise, axis=1) / np.arange(1, frames + 1)  # no rumble
    echo = (ROOM_LEVEL * noise / np.sqrt((noise**2).sum(1, keepdims=True))).astype(np.float32)
    size = good_fft_size(BLOCK + frames)
    response = np.fft.rfft(echo, size)
    sent = mix.mean(0)
    wet = np.zeros((2, len(sent) + size), np.float32)
    for start in range(0, len(sent), BLOCK):
        wet[:, start : start + size] += np.fft.irfft(np.fft.rfft(sent[start : start + BLOCK], size) * response, size)
    return mix + wet[:, : len(sent)]
