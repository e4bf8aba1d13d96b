"""Every command and the Python of README.md run: the trainings with a few tiny steps, the rest as written."""

import re
import shlex
from pathlib import Path

import pytest

from lstmusic import config, music_model
from lstmusic.cli import main

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README.read_text(), re.S)
COMMANDS = [
    line for kind, text in BLOCKS if kind == "bash" for line in text.splitlines() if line.startswith("lstmusic ")
]
TINY = (
    *("model.hidden_size=12", "model.embedding_size=8", "model.num_layers=1", "trainer.max_minutes=null"),
    *("trainer.max_steps=4", "trainer.bptt_length=16", "trainer.accelerator=cpu", "jobs=1"),
)
needs_bach = pytest.mark.skipif(
    not (music_model.PRETRAINED / "bach" / "config.yaml").is_file(), reason="the bundled model is not in this checkout"
)


@pytest.fixture
def workplace(tmp_path, monkeypatch, phrase):
    """A folder as the README's reader has it: `my-midi/` and `song.mid`."""
    from lstmusic.score import midi

    (tmp_path / "my-midi").mkdir()
    for seed in range(8):
        midi.write(phrase(bars=2, seed=seed), tmp_path / "my-midi" / f"piece-{seed}.mid")
    midi.write(phrase(bars=12), tmp_path / "song.mid")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_readme_shows_commands_and_figures():
    assert len(COMMANDS) >= 8
    assert "_TABLE" not in README.read_text()


@needs_bach
def test_commands(workplace):
    for number, line in enumerate(COMMANDS):
        _, command, *overrides = shlex.split(line)
        if command == "listen" or {"data=jsb16", "data=polymusic"} & {*overrides}:  # never ends, or needs a data set
            config.compose(command, overrides)
            continue
        if command == "train" and not any(o.startswith("resume=") for o in overrides):
            overrides += TINY
        if command == "train" and any(o.startswith("resume=") for o in overrides):
            overrides += ["trainer.max_steps=6"]
        if command != "train" and not any(o.startswith("hydra.run.dir=") for o in overrides):
            overrides += [f"hydra.run.dir=out-{number}"]
        assert main([command, *overrides]) == 0, line
        if command == "generate":
            folder = next(o.partition("=")[2] for o in overrides if o.startswith("hydra.run.dir="))
            assert {p.suffix for p in Path(folder).iterdir()} >= {".mid", ".wav", ".png", ".html", ".json"}


@needs_bach
def test_python(workplace, capsys):
    (code,) = [text for kind, text in BLOCKS if kind == "python"]
    exec(compile(code, "README.md", "exec"), {})
    nats, legal = capsys.readouterr().out.splitlines()[0].split()
    assert 0 < float(nats) < 3
    assert legal == "True"
