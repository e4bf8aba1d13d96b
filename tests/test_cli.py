"""The command line itself: help, dispatch, exit codes, and every file of conf/."""

import re
from dataclasses import is_dataclass
from pathlib import Path
from types import NoneType
from typing import get_args, get_type_hints

import pytest
import yaml

from lstmusic import __version__, cli, config
from lstmusic.cli import COMMANDS, command_help, main
from lstmusic.schema import suggestion

CONF = config.conf_folder()
FILES = sorted(path.relative_to(CONF) for path in CONF.rglob("*.yaml"))


def test_help_names_every_command(capsys):
    for arguments in ([], ["--help"], ["-h"], ["help"]):
        assert main(arguments) == 0
        out = capsys.readouterr().out
        assert all(re.search(rf"^  {name} ", out, re.M) for name in COMMANDS)


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"lstmusic {__version__}\n"


def test_every_command_has_a_file_and_a_schema():
    assert set(COMMANDS) == set(config.SCHEMAS) == {path.stem for path in FILES if len(path.parts) == 1}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(command, capsys):
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if re.match(r"  [\w.]+=", line)]
    assert all(re.match(r"  \S+=.*\S {1,}\S", line) for line in lines), "a key without a meaning"
    assert command == "listen" or "hydra.run.dir=" in out
    assert str(Path.home()) not in out
    assert str(CONF.parent) not in out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_lists_every_key_that_has_a_meaning(command):
    shown = set(re.findall(r"^  ([\w.]+)=", command_help(command), re.M))
    hidden = {
        "data.name",
        "data.files",
        "data.licence",
        "data.citation",
        "encoding.name",
    }
    if command in config.OWN_ENCODING:  # not the user
        hidden |= {key for key in config.known_keys(command)[0] if key.startswith(("trainer.", "encoding."))}
    if command == "prepare":
        hidden |= {key for key in config.known_keys(command)[0] if key.startswith("trainer.")}
    assert set(config.known_keys(command)[0]) - hidden <= shown


@pytest.mark.parametrize("file", FILES, ids=str)
def test_every_file_of_conf_is_composed(file):
    if len(file.parts) == 1:
        request = config.compose(file.stem, [])
        assert isinstance(request.config, config.SCHEMAS[file.stem])
        return
    group, choice = file.parts[0], file.stem
    overrides = [f"{group}={choice}"]
    if overrides == ["encoding=frames"]:  # comes with its model
        overrides.append("model=frames")
    plain = config.compose("train", overrides).plain
    own = {k: v for k, v in yaml.safe_load((CONF / file).read_text()).items() if k != "defaults"}
    mine = plain if group == "experiment" else plain[group]
    for key, value in own.items():
        assert mine[key] == value or (isinstance(value, dict) and value.items() <= mine[key].items())


def test_conf_is_found():
    assert len(FILES) > 10


@pytest.mark.parametrize("data", [path.stem for path in FILES if path.parts[0] == "data"])
def test_evaluate_takes_any_data(data):
    assert config.compose("evaluate", [f"data={data}"]).config.data.name == data


@pytest.mark.parametrize(
    "value",
    [
        "a b.mid",
        "music (1)/a,b=c.mid",
        "it's.mid",
        "b\\'s (1).mid",
        "Übung.mid",
        "C:\\x,y\\",
        "[1",
        "{a",
        "a:b",
        "a#b.mid",
    ],
)
def test_a_path_may_be_spelt_in_any_way(value):
    assert config.compose("generate", [f"primer={value}"]).config.primer == value


def optional_keys(schema, prefix=""):
    """Every key of a schema that may be null, and every section."""
    for key, hint in get_type_hints(schema).items():
        section = next((kind for kind in get_args(hint) or (hint,) if is_dataclass(kind)), None)
        if section and not str(hint).startswith("list"):
            yield from optional_keys(section, f"{prefix}{key}.")
        elif NoneType in get_args(hint):
            yield f"{prefix}{key}"


@pytest.mark.parametrize("command", COMMANDS)
def test_an_empty_value_of_an_optional_key_is_null(command):
    keys = set(optional_keys(config.SCHEMAS[command])) & set(config.known_keys(command)[0])
    for key in keys:
        group = key.split(".")[0]
        if group == "trainer" and command == "prepare":  # belongs to train
            continue
        if group in ("encoding", "trainer") and command in config.OWN_ENCODING:
            continue
        if group == "data" and command == "evaluate":  # only beside a data set
            continue
        needed = {"encoding.grouped": ["encoding=metrical"], "encoding.pedals": ["encoding=performance"]}
        needed |= {"encoding.frames_per_quarter": ["model=frames" if command == "train" else "encoding=frames"]}
        needed |= {"encoding.tokenizer": ["encoding=miditok"], "trainer.max_minutes": ["trainer.max_steps=1"]}
        value = config.compose(command, [*needed.get(key, []), f"{key}="]).plain
        for part in key.split("."):
            value = value[part]
        assert value is None, key
    assert bool(keys) == (command not in ("listen", "doctor"))


def test_an_empty_optional_group_is_none():
    for value in ("", "null"):
        assert config.compose("evaluate", [f"data={value}"]).config.data is None
        assert config.compose("train", [f"experiment={value}"]).config.data.name == "bach"


@pytest.mark.parametrize(
    ("word", "choices", "found"),
    [
        ("jbs16", ["bach", "jsb16"], "jsb16"),
        ("bahc", ["bach", "jsb16"], "bach"),
        ("max_minutes", ["seed", "trainer.max_minutes"], "trainer.max_minutes"),
        ("trainer.hidden_size", ["model.embedding_size", "model.hidden_size"], "model.hidden_size"),
        ("data.nam", ["encoding.name", "data.name"], "data.name"),
        ("nope", ["encoding", "fidelity", "copies", "leak"], None),
        ("filters.nope", ["filters.min_notes", "filters.duplicates"], None),
    ],
)
def test_only_what_is_near_is_suggested(word, choices, found):
    assert suggestion(word, choices) == (f"; did you mean {found}?" if found else "")


def test_what_was_typed_is_kept():
    request = config.compose("generate", ["songs=2", "hydra.run.dir=here"])
    assert request.overrides == ["songs=2", "hydra.run.dir=here"]
    assert request.folder == Path("here")
    assert "hydra" not in request.plain


def test_exit_codes_of_what_a_command_raises(monkeypatch, capsys):
    raised = {
        KeyboardInterrupt(): (130, ""),
        OSError(28, "No space left on device", "outputs/x"): (1, "lstmusic: outputs/x: No space left on device\n"),
        ValueError("odd\nthing"): (1, "lstmusic: ValueError: odd (a defect; LSTMUSIC_DEBUG=1 shows where)\n"),
    }
    monkeypatch.delenv("LSTMUSIC_DEBUG", raising=False)
    for error, (code, line) in raised.items():

        def fail(command, arguments, error=error):
            raise error

        monkeypatch.setattr(cli, "_dispatch", fail)
        assert main(["doctor"]) == code
        assert capsys.readouterr().err == line


def test_debug_shows_the_traceback(monkeypatch):
    monkeypatch.setenv("LSTMUSIC_DEBUG", "1")
    with pytest.raises(config.ConfigError):
        main(["generate", "temperature=cold"])
