"""A score as sound: rendered with a SoundFont, made equally loud, written as WAV, FLAC, OGG or MP3."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from lstmusic.errors import MissingFileError, OutputError
from lstmusic.files import whole
from lstmusic.listening import soundfont as sf
from lstmusic.listening import synthesis
from lstmusic.score import Score

TAIL_S = 2.0  # what may ring after the last note ends
FADE_S = 0.25
LONGEST_S = 3600.0  # an hour of stereo sound is 1.3 GB of memory: a longer score is most likely a wrong tempo
LOUDNESS_DB = -20.0  # gated RMS, full scale = 0
CEILING = 10 ** (-1 / 20)  # no sample above -1 dBFS
KNEE = 0.6  # the limiter leaves alone what is below
MOST_OVER = 10 ** (3 / 20)  # how far above the ceiling a peak may come to the limiter: more would be heard as dirt
GATE_S, GATE_DB = 0.4, -15.0  # loudness counts the 0.4 s windows that are at most 15 dB below their mean
FORMATS = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS"), ".mp3": ("MP3", None)}
OGG_BLOCK = 1 << 16  # libsndfile's Vorbis encoder overflows its stack on long writes


def render(
    score: Score, *, soundfont: Path | str | None = None, sample_rate: int = 44100, fluidsynth: bool = False
) -> np.ndarray:
    """A score as sound, each onset at the second that `score.seconds` says, with what rings after the last note.

    The loudness is that of the notes heard, not of the rests: gated RMS (windows of 0.4 s) is brought to -20 dBFS, less
    where peaks would come more than 3 dB above -1 dBFS; a soft limiter keeps the rest below -1 dBFS.

    Args:
        score: the music.
        soundfont: an .sf2 file; the one that pretty_midi ships if None.
        sample_rate: frames a second.
        fluidsynth: play with the `fluidsynth` program instead of the built-in sampler.

    Returns:
        float32 [frames, 2] within -0.892..0.892 (left, right); silence for a score without notes.

    Raises:
        MissingFileError: the SoundFont, or the `fluidsynth` program, is not there.
        ReadError: the file is not a SoundFont.
        OutputError: the score lasts longer than an hour.
    """
    if score.length_s > LONGEST_S:
        raise OutputError(f"the score lasts {score.length_s:.0f} s; audio is rendered up to {LONGEST_S:.0f} s")
    font = sf.load(Path(soundfont) if soundfont is not None else sf.bundled_path())
    if not len(score.notes):
        return np.zeros((int(TAIL_S * sample_rate), 2), np.float32)
    if fluidsynth:
        sound = play_with_fluidsynth(score, font.path, sample_rate)
    else:
        sound = synthesis.add_room(synthesis.play(score, font, sample_rate, TAIL_S), sample_rate)
    fade = min(int(FADE_S * sample_rate), sound.shape[1])
    sound[:, sound.shape[1] - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return np.ascontiguousarray(level(sound, sample_rate).T)


def level(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """`sound` (float32 [2, frames]) at the common loudness, limited softly to the ceiling."""
    peak = float(np.abs(sound).max())
    if peak == 0:
        return sound
    gain = min(10 ** (LOUDNESS_DB / 20) / gated_rms(sound, sample_rate), CEILING * MOST_OVER / peak)
    sound = sound * np.float32(gain)
    over = np.abs(sound) > KNEE
    loud = sound[over]
    room = CEILING - KNEE
    sound[over] = np.sign(loud) * (KNEE + room * np.tanh((np.abs(loud) - KNEE) / room))
    return sound


def gated_rms(sound: np.ndarray, sample_rate: int) -> float:
    """Root mean square of `sound` (float32 [2, frames]) over the windows that are not a rest; above 0 if it is."""
    starts = np.arange(0, sound.shape[1], max(int(GATE_S * sample_rate), 1))
    power = np.add.reduceat((sound**2).mean(0), starts) / np.diff(np.r_[starts, sound.shape[1]])
    heard = power[power >= power.mean() * 10 ** (GATE_DB / 10)]
    return float(np.sqrt(heard.mean()))


def play_with_fluidsynth(score: Score, soundfont: Path, sample_rate: int) -> np.ndarray:
    """The score through the `fluidsynth` program: float32 [2, frames], as long as the built-in sampler's."""
    program = shutil.which("fluidsynth")
    if program is None:
        raise MissingFileError("fluidsynth: expected a program of that name on PATH; none was found")
    import soundfile

    with tempfile.TemporaryDirectory() as folder:
        midi, wav = Path(folder) / "song.mid", Path(folder) / "song.wav"
        score.to_pretty_midi().write(str(midi))
        arguments = ["-ni", "-q", "-T", "wav", "-O", "float", "-r", str(sample_rate), "-F", str(wav), str(soundfont)]
        done = subprocess.run([program, *arguments, str(midi)], capture_output=True, text=True)
        if done.returncode or not wav.is_file():
            raise OutputError(f"fluidsynth failed (exit code {done.returncode}): {done.stderr.strip()[-300:]}")
        sound = soundfile.read(wav, dtype="float32", always_2d=True)[0].T
    frames = int((score.length_s + TAIL_S) * sample_rate)
    return np.pad(sound[:, :frames], ((0, 0), (0, max(frames - sound.shape[1], 0))))


def write_audio(samples: np.ndarray, path: Path | str, *, sample_rate: int = 44100) -> Path:
    """Write sound to a file, whole or not at all; its suffix says how: .wav (16 bit), .flac, .ogg or .mp3.

    Args:
        samples: float [frames, 2] within -1..1, as `render` makes.
        path: where to.
        sample_rate: frames a second.

    Returns:
        The path written.

    Raises:
        OutputError: the suffix is another one, or the file cannot be written.
    """
    import soundfile

    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise OutputError(f"{path}: expected a name that ends in one of {', '.join(FORMATS)}; got {path.suffix!r}")
    kind, subtype = FORMATS[path.suffix.lower()]
    try:
        with (
            whole(path) as beside,
            soundfile.SoundFile(beside, "w", sample_rate, samples.shape[1], subtype, format=kind) as file,
        ):
            for start in range(0, len(samples), OGG_BLOCK):
                file.write(samples[start : start + OGG_BLOCK])
    except soundfile.LibsndfileError as error:
        raise OutputError(f"{path}: cannot be written ({error})") from error
    return path
