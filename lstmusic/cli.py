"""`lstmusic COMMAND key=value …`: help and dispatch. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import importlib
import os
import re
import sys
from pathlib import Path
from typing import Any

COMMANDS = {
    "generate": "write new songs",
    "reproduce": "make a song again from what its file says it was made by, and compare the bytes",
    "prepare": "read a corpus: a verdict on every file, and what the encoding loses",
    "train": "learn from a corpus: model, samples and a verdict",
    "evaluate": "how likely held-out music is under a model, beside baselines",
    "inspect": "what a model does with a piece: gates, surprise, gradient reach, memory",
    "listen": "songs in the browser",
    "bench": "how fast this machine is, peers beside lstmusic",
    "doctor": "what is installed, and what would fail",
}
USAGE = """lstmusic learns music from MIDI with recurrent networks and writes new songs.

usage: lstmusic COMMAND [key=value …]
       lstmusic COMMAND --help      the keys of a command, with their meaning
       lstmusic COMMAND -m key=a,b  one run for each value
"""
EXIT_INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code: 0 done, 2 the request is wrong, 1 it failed, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE)
        for name, words in COMMANDS.items():
            print(f"  {name:<10} {words}")
        return 0
    if arguments[0] == "--version":
        from lstmusic import __version__

        print(f"lstmusic {__version__}")
        return 0
    command, rest = arguments[0], arguments[1:]
    from lstmusic.errors import LstmusicError

    try:
        return _dispatch(command, rest)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except LstmusicError as error:
        return _fail(error, str(error), error.exit_code)
    except OSError as error:
        return _fail(error, f"{error.filename or command}: {error.strerror or error}", 1)
    except Exception as error:  # the last resort: one line instead of a traceback
        words = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
        return _fail(error, f"{words} (a defect; LSTMUSIC_DEBUG=1 shows where)", 1)


def _fail(error: BaseException, message: str, code: int) -> int:
    if os.environ.get("LSTMUSIC_DEBUG") == "1":
        raise error
    print(f"lstmusic: {message}", file=sys.stderr)
    return code


def _dispatch(command: str, arguments: list[str]) -> int:
    from lstmusic import config
    from lstmusic.schema import one_of

    one_of("command", command, tuple(COMMANDS))
    if any(argument in ("-h", "--help") for argument in arguments):
        print(command_help(command))
        return 0
    if any(argument in ("-m", "--multirun") for argument in arguments):
        return _sweep(command, arguments)
    request = config.compose(command, arguments)
    importlib.import_module(f"lstmusic.commands.{command}").run(request)
    return 0


def _sweep(command: str, arguments: list[str]) -> int:
    """Hand over to Hydra: one run per combination, by whichever launcher and sweeper is configured (docs/sweeps.md)."""
    import logging

    import hydra
    from hydra.errors import HydraException
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from lstmusic import config

    def task(composed: DictConfig) -> float | None:
        from pathlib import Path

        from hydra.core.hydra_config import HydraConfig

        hydra_config = HydraConfig.get()
        plain = OmegaConf.to_container(composed, resolve=True)
        overrides = list(hydra_config.overrides.task)
        request = config.checked(command, plain, Path(hydra_config.runtime.output_dir), overrides)
        objective = _objective(importlib.import_module(f"lstmusic.commands.{command}").run(request))
        sweeper = hydra_config.runtime.choices["hydra/sweeper"]
        if objective is None and sweeper != "basic":
            raise config.ConfigError(
                f"hydra/sweeper={sweeper}: nothing to minimise here, expected a command that measures held-out nats "
                "(train or evaluate, on data with a valid split)"
            )
        return objective

    typed = [argument for argument in arguments if not argument.startswith("-")]
    if wrong := config.problem(command, typed):
        raise wrong
    # no files of Hydra's own in a run's folder: it has to be empty, and the command writes its configuration there
    sys.argv = [
        f"lstmusic {command}",
        "--multirun",
        *config.chosen(command, typed),
        "hydra.output_subdir=null",
        "hydra/job_logging=none",
    ]
    logging.getLogger("alembic").setLevel(logging.WARNING)  # which Optuna imports; it lists its parts
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let errors through to `main`, which says them in one line
    try:
        hydra.main(version_base="1.3", config_path=str(config.conf_folder()), config_name=command)(task)()
    except (HydraException, OmegaConfBaseException) as error:
        raise config.explain(command, typed, error) from error
    return 0


def _objective(report: Any) -> float | None:
    """What a sweeper minimises: nats per held-out token, if a command's report has them."""
    results = report.get("results", report) if isinstance(report, dict) else {}
    return results.get("nll_per_token") if results.get("split") in ("valid", "test") else None


def command_help(command: str) -> str:
    """The keys of a command with their defaults and meaning, read from the comments in conf/."""
    from lstmusic.config import conf_folder, groups_of

    folder = conf_folder()
    text = (folder / f"{command}.yaml").read_text()
    lines = [text.splitlines()[0].lstrip("# "), "", f"usage: lstmusic {command} [key=value …]", ""]
    groups = groups_of(command)
    choices = [row for row in groups if len(list((folder / row[0]).glob("*.yaml"))) > 1]
    lines += [_key_line(group, choice.replace("null", ""), words) for group, choice, words in choices]
    lines += _key_lines(text)
    for group, choice, _ in groups:
        lines += ["", *_group_lines(folder / group, choice)]
    if command != "listen":
        lines += ["", _key_line("hydra.run.dir", f"outputs/{command}/<date_time>", "where the output goes")]
    return "\n".join(lines)


def _group_lines(folder: Path, choice: str) -> list[str]:
    """The keys of a group: those of its default choice, then those that only other choices have."""
    lines: dict[str, str] = {}
    for file in sorted(folder.glob("*.yaml"), key=lambda file: (file.stem != choice, file.stem)):
        for line in _key_lines(file.read_text(), f"{folder.name}."):
            lines.setdefault(line.partition("=")[0], line)
    return list(lines.values())


def _key_lines(text: str, prefix: str = "") -> list[str]:
    """One line of help per `key: value  # meaning` of a YAML file, nested keys with their parents' names.

    A key without a meaning, such as a data set's checksum, is not for the user.
    """
    lines, parent = [], ""
    for indent, key, value, words in re.findall(r"^( *)(\w+):[ ]*([^#\n]*?)(?:  # (.*))?$", text, re.M):
        if key in ("defaults", "hydra", "run", "sweep"):
            continue
        if not indent:
            parent = f"{key}." if not value else ""
        if value and words:
            name = f"{prefix}{parent if indent else ''}{key}"
            lines.append(_key_line(name, value.replace("null", ""), words))
    return lines


def _key_line(key: str, value: str, words: str) -> str:
    return f"  {f'{key}={value}':<34} {words}".rstrip()


if __name__ == "__main__":
    sys.exit(main())
