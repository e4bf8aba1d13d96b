"""`lstmusic doctor`: what is installed, which device, what would fail and how to mend it."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from lstmusic.commands import output
from lstmusic.config import Request, conf_folder
from lstmusic.errors import LstmusicError

PACKAGES = (
    *("torch", "lightning", "tensorboard", "hydra-core", "omegaconf", "numpy", "safetensors", "joblib", "pooch"),
    *("scipy", "pretty_midi", "mido", "music21", "soundfile", "pillow", "matplotlib", "rich"),
)


def run(request: Request) -> dict[str, Any]:
    """Check everything that a command needs; the report. A failed check fails the command."""
    console = Console()
    rows = [(name, *_attempt(check)) for name, check in _checks().items()]
    for name, good, words in rows:
        console.print(f"{'ok  ' if good else 'FAIL'} {name}: {words}", markup=False, soft_wrap=True)
    folder = output.open_folder(request)
    checks = [{"check": name, "ok": good, "found": words} for name, good, words in rows]
    report = output.write_report(folder, "doctor", request, {"checks": checks})
    failed = [name for name, good, _ in rows if not good]
    if failed:
        raise LstmusicError(
            f"{len(failed)} checks failed: {', '.join(failed)}; to mend: install anew, as README.md says"
        )
    return report


def _attempt(check: Callable[[], str]) -> tuple[bool, str]:
    try:
        return True, check()
    except Exception as error:  # whatever a broken installation raises is the finding
        return False, f"{type(error).__name__}: {error}"


def _checks() -> dict[str, Callable[[], str]]:
    checks: dict[str, Callable[[], str]] = {
        "python": _python,
        "device": _device,
        "configuration": lambda: f"{len(list(conf_folder().rglob('*.yaml')))} files",
        "bundled model": _bundled,
        "sound": _sound,
        "output folder": _writable,
        "data sets": _data_sets,
        "fluidsynth (optional)": lambda: shutil.which("fluidsynth") or "not installed; the built-in sampler plays",
    }
    for name in PACKAGES:
        checks[f"package {name}"] = functools.partial(importlib.metadata.version, name)
    return checks


def _python() -> str:
    return f"{platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def _data_sets() -> str:
    return f"$LSTMUSIC_DATA_DIR is {os.environ.get('LSTMUSIC_DATA_DIR', 'not set: they are downloaded once')}"


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()} (trainer.accelerator=auto uses it)"
    return f"CPU, {torch.get_num_threads()} threads; no GPU is seen by torch {torch.__version__}"


def _bundled() -> str:
    from lstmusic import music_model

    model = music_model.load("bach")
    return f"bach loads, encoding {model.codec.name}, {sum(p.numel() for p in model.model.parameters()):,} weights"


def _sound() -> str:
    from lstmusic.listening import soundfont

    path = soundfont.bundled_path()
    soundfont.load(path)
    return f"{path.name} opens"


def _writable() -> str:
    place = Path("outputs")
    with tempfile.TemporaryFile(dir=place if place.is_dir() else Path()):
        free = shutil.disk_usage(Path()).free
    return f"{place.resolve().name}/ can be written, {free / 2**30:.1f} GiB free"
