"""From conf/ and what the user typed to a checked request. Only this module, the cli and the commands know Hydra."""

from __future__ import annotations

import re
from dataclasses import is_dataclass
from importlib import metadata
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple, TypeVar, cast, get_args, get_type_hints

from lstmusic.errors import ConfigError
from lstmusic.schema import SCHEMAS, suggestion

T = TypeVar("T")
PACKAGE = Path(__file__).parent
# Commands that take of a data set its pieces alone, and what they do instead
OWN_ENCODING = {"evaluate": "takes it from the checkpoint", "bench": "has its own"}

# Plugins of Hydra that the extra `sweeps` installs, and Ray's, which it cannot (docs/sweeps.md)
PLUGINS = {
    "hydra/sweeper=optuna": "hydra-optuna-sweeper",
    "hydra/launcher=joblib": "hydra-joblib-launcher",
    "hydra/launcher=submitit_slurm": "hydra-submitit-launcher",
    "hydra/launcher=submitit_local": "hydra-submitit-launcher",
    "hydra/launcher=ray": "hydra-ray-launcher",
}


class Request(NamedTuple):
    """A checked request.

    Attributes:
        config: the typed configuration of the command.
        folder: where its output goes.
        plain: the composed configuration as plain values.
        overrides: what the user typed.
    """

    config: Any
    folder: Path
    plain: dict[str, Any]
    overrides: list[str]


def conf_folder() -> Path:
    """conf/: inside the package where it is installed, beside it in a checkout."""
    inside = PACKAGE / "conf"
    return inside if inside.is_dir() else PACKAGE.parent / "conf"


def compose(command: str, overrides: list[str]) -> Request:
    """Compose conf/<command>.yaml with overrides, and check every key, type and range.

    Raises:
        ConfigError: names the key, what came and what was expected.
    """
    import hydra
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if wrong := problem(command, overrides):
        raise wrong
    sweep, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None  # a resumed run of a sweep composes anew
    try:
        with hydra.initialize_config_dir(str(conf_folder()), version_base="1.3"):
            typed = [as_typed(override) for override in chosen(command, overrides)]
            whole = hydra.compose(command, typed, return_hydra_config=True)
            folder = Path(whole.hydra.run.dir)
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(command, overrides, error) from error
    finally:
        GlobalHydra.instance().hydra = sweep
    plain = OmegaConf.to_container(
        OmegaConf.masked_copy(whole, [str(key) for key in whole if key != "hydra"]), resolve=True
    )
    return checked(command, plain, folder, list(overrides))


def chosen(command: str, overrides: list[str]) -> list[str]:
    """The overrides without those that leave a group empty which may be: Hydra knows no empty choice."""
    empty = {f"{group}={nothing}" for group in optional_groups(command) for nothing in ("", "null")}
    return [override for override in overrides if override not in empty]


def as_typed(override: str) -> str:
    """An override in Hydra's grammar: a value that the grammar cannot take, such as `a (1).mid`, is plain text."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    key, equals, value = override.partition("=")
    try:
        if not OverridesParser.create().parse_override(override).is_sweep_override():
            return override
    except HydraException:
        pass
    if not equals:
        return override
    escaped = re.sub(r"(\\*)('|$)", lambda m: 2 * m[1] + ("\\'" if m[2] else ""), value)
    return f"{key}='{escaped}'"


def checked(command: str, plain: Any, folder: Path, overrides: list[str]) -> Request:
    """The typed configuration of composed plain values.

    Raises:
        ConfigError: a value cannot be what its key expects.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    settle(SCHEMAS[command], plain)
    try:
        typed = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(SCHEMAS[command]), plain))
    except OmegaConfBaseException as error:
        if not error.full_key:  # a whole section was given a value
            raise _of_a_section(command, plain) from error
        value = OmegaConf.select(OmegaConf.create(plain), error.full_key or "")
        expected = re.search(r"converted to (\w+)", str(error))
        kind = expected.group(1).lower() if expected else ""  # YAML's .inf comes as text, and is none of our numbers
        wanted = f"expected {'a finite number' if kind == 'float' else kind}" if kind else str(error).splitlines()[0]
        if "not a ListConfig" in str(error):
            wanted = f"expected a list: {error.full_key}=[A,B]"
        if "'ListConfig' to string" in str(error):
            wanted = "expected text, without brackets"
        raise ConfigError(f"{error.full_key}={value}: {wanted}") from error
    return Request(typed, folder, plain, overrides)


def settle(schema: type, plain: dict[str, Any], prefix: str = "") -> None:
    """Make empty values of optional keys null, in place, and check truth values: OmegaConf takes any number for one.

    Raises:
        ConfigError: a value is neither true nor false where one of them is expected.
    """
    for key, hint in get_type_hints(schema).items():
        kinds, value = get_args(hint) or (hint,), plain.get(key)
        section = next((kind for kind in kinds if is_dataclass(kind)), None)
        if isinstance(value, dict) and section:
            settle(cast(type, section), value, f"{prefix}{key}.")
        elif value == "" and NoneType in kinds:
            plain[key] = None
        elif bool in kinds and key in plain and not isinstance(value, bool | NoneType):
            raise ConfigError(f"{prefix}{key}={value}: expected true or false")


def typed(schema: type[T], plain: dict[str, Any]) -> T:
    """Saved plain values as their dataclass; keys that it no longer has are left out.

    Raises:
        ConfigError: a value cannot be what its key expects.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    known = {key: value for key, value in plain.items() if key in schema.__dataclass_fields__}  # type: ignore[attr-defined]
    try:
        return cast(T, OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), known)))
    except OmegaConfBaseException as error:
        raise ConfigError(f"{error.full_key}: {str(error).splitlines()[0]}") from error


def _of_a_section(command: str, plain: dict[str, Any]) -> ConfigError:
    keys = known_keys(command)[0]
    for section in dict.fromkeys(key.partition(".")[0] for key in keys if "." in key):
        if not isinstance(plain.get(section), dict):
            inside = ", ".join(key for key in keys if key.startswith(f"{section}."))
            return ConfigError(f"{section}={plain.get(section)}: expected one of its keys: {inside}")
    return ConfigError(f"{command}: the configuration does not fit its schema")


def explain(command: str, overrides: list[str], error: Exception) -> ConfigError:
    """The one line that says what is wrong with the overrides."""
    if wrong := problem(command, overrides):
        return wrong
    line = str(error).splitlines()[0]
    refused = re.match(r"Could not override '((\w+)\.\w+)'", line)
    return _of_another_choice(command, overrides, *refused.groups()) if refused else ConfigError(line)


def _of_another_choice(command: str, overrides: list[str], key: str, group: str) -> ConfigError:
    """The word about a key that the choice of its group does not have, though another choice of it does."""
    came = next((override for override in overrides if override.split("=")[0] == key), key)
    try:
        section = compose(command, [override for override in overrides if override != came]).plain[group]
    except ConfigError:  # a sweep over choices
        return ConfigError(f"{came}: not a key of every {group} that was asked for")
    own = ", ".join(f"{group}.{name}" for name in section if name != "name") or "none"
    named = [override.partition("=")[2] for override in overrides if override.startswith(f"{group}=")]
    name = (
        section.get("name") or (named or [default for choice, default, _ in groups_of(command) if choice == group])[0]
    )
    return ConfigError(f"{came}: not a key of {group} {name}, expected one of its own: {own}")


def problem(command: str, overrides: list[str]) -> ConfigError | None:
    """What is wrong with the keys of some overrides, or with the choices of groups; values are checked elsewhere."""
    known, groups = known_keys(command)
    sections = {key.rpartition(".")[0] for key in known}
    for override in overrides:
        key, _, value = override.lstrip("+~").partition("=")
        key, names = key.split("@")[0], _swept(value)
        if "=" not in override and not override.startswith("~"):
            return ConfigError(f"{override}: expected key=value")
        may_be_empty = key in groups and key in optional_groups(command)
        if key in groups and not set(names) <= {*groups[key]} and not (may_be_empty and value in ("", "null")):
            return ConfigError(
                f"{key}={value}: expected one of {', '.join(groups[key])}{suggestion(value, groups[key])}"
            )
        if command == "prepare" and key.split(".")[0] == "trainer":
            return ConfigError(f"{override}: belongs to train; prepare only reads")
        if command in OWN_ENCODING and key.split(".")[0] in ("encoding", "trainer"):
            return ConfigError(f"{override}: belongs to train; {command} {OWN_ENCODING[command]}")
        if key.startswith("data.") and command == "evaluate" and not any(o.startswith("data=") for o in overrides):
            return ConfigError(f"{override}: expected data=folder (or another data set) beside it")
        if (package := PLUGINS.get(override)) and not is_installed(package):
            return ConfigError(f"{override}: {package} is not installed, docs/sweeps.md says how it is")
        if key not in (*known, *groups, *sections) and not key.startswith("hydra"):
            return ConfigError(
                f"unknown key {key!r}{suggestion(key, known) or '; expected one of ' + ', '.join(known)}"
            )
    return None


def is_installed(package: str) -> bool:
    """Whether a distribution of this name is there."""
    try:
        return bool(metadata.version(package))
    except metadata.PackageNotFoundError:
        return False


def _swept(value: str) -> list[str]:
    """The values of a sweep over choices, `a,b` or `choice(a,b)`."""
    inside = re.fullmatch(r"choice\((.*)\)", value)
    return [name.strip() for name in (inside[1] if inside else value).split(",")]


def groups_of(command: str) -> list[tuple[str, str, str]]:
    """Each group of choices that a command takes, its default (or `null`) and its meaning, as its file lists them.

    Those that follow from another choice (the encoding from the data set) stand in the file as comments.
    """
    text = (conf_folder() / f"{command}.yaml").read_text()
    return re.findall(r"^  [-#] (\w+): (\w+)  # (.*)$", text, re.M)


def optional_groups(command: str) -> list[str]:
    """The groups of a command that may be left empty."""
    return [group for group, default, _ in groups_of(command) if default == "null"]


def known_keys(command: str) -> tuple[list[str], dict[str, list[str]]]:
    """The keys that a command takes, and the choices of each of its groups."""
    import yaml

    folder = conf_folder()
    main = yaml.safe_load((folder / f"{command}.yaml").read_text())
    chosen = {k: v for item in main.get("defaults", []) if isinstance(item, dict) for k, v in item.items()}
    chosen.pop("experiment", None)
    if "data" in chosen:  # a data set names its encoding, which names its trainer
        chosen |= {"encoding": None, "trainer": "default"}
    if "model" in chosen:  # a model of frames has other keys
        chosen["model"] = None
    groups = {name: sorted(p.stem for p in (folder / name).glob("*.yaml")) for name in [*chosen, "experiment"]}
    values = {k: v for k, v in main.items() if k not in ("defaults", "hydra")}
    for name in chosen:
        files = [folder / name / f"{chosen[name]}.yaml"] if chosen[name] else sorted((folder / name).glob("*.yaml"))
        values[name] = {}
        for file in files:
            values[name] |= {k: v for k, v in yaml.safe_load(file.read_text()).items() if k != "defaults"}
    return list(_flatten(values)), groups


def _flatten(values: dict[str, Any], prefix: str = "") -> list[str]:
    keys = []
    for key, value in values.items():
        keys += _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else [prefix + key]
    return keys
