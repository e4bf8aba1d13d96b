"""The wheel: what is inside, and that it makes music where nothing of the checkout is near."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUNDLED = ROOT / "lstmusic" / "pretrained" / "bach"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this checkout, built with the build backend that is installed here."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The commands of a fresh environment that holds the wheel and sees the dependencies that are installed here."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, with_pip=False)
    scheme = {"base": str(place), "platbase": str(place)}
    site = Path(sysconfig.get_path("purelib", "venv", vars=scheme))
    command = [sys.executable, "-m", "pip", "--python", str(place / "bin" / "python")]
    subprocess.run([*command, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    # addsitedir would read the .pth file of an editable lstmusic; a plain path does not
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return place / "bin"


@pytest.fixture
def run_in(tmp_path):
    """A function: run a program in an empty folder, without this checkout on its path."""

    def run(*command):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "LSTMUSIC", "COVERAGE"))}
        return subprocess.run([str(c) for c in command], cwd=tmp_path, env=env, capture_output=True, text=True)

    return run


def test_what_is_in_the_wheel(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        texts = {n: archive.read(n).decode() for n in names if n.endswith((".py", ".yaml", ".html", ".md", ".json"))}
    configuration = {path.relative_to(ROOT).as_posix() for path in (ROOT / "conf").rglob("*.yaml")}
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "lstmusic" / "listening").glob("*.html")}
    bundled = {path.relative_to(ROOT).as_posix() for path in (ROOT / "lstmusic" / "pretrained").rglob("*.*")}
    assert configuration
    assert pages
    assert {f"lstmusic/{name}" for name in configuration} | pages | bundled <= set(names)
    assert not [name for name in names if "test" in name or "__pycache__" in name or name.startswith("shared")]
    for name, text in texts.items():
        assert str(ROOT) not in text, name
        assert not re.search(r"/(home|root|work|Users)/\w", text), name
    assert wheel.stat().st_size < 20e6


def test_the_installed_package_is_the_one_that_runs(installed, run_in):
    where = run_in(installed / "python", "-c", "import lstmusic, lstmusic.config as c; print(c.conf_folder())")
    assert where.returncode == 0, where.stderr
    assert Path(where.stdout.strip()).is_relative_to(installed.parent)
    assert not Path(where.stdout.strip()).is_relative_to(ROOT)


def test_help_is_quick_and_light(installed, run_in):
    code = (
        "import sys, time; start = time.perf_counter(); from lstmusic.cli import main; main(['--help']); "
        "took = time.perf_counter() - start; heavy = {'torch', 'music21', 'matplotlib', 'hydra', 'numpy'}; "
        "print(sorted(heavy & set(sys.modules)), took)"
    )
    done = run_in(installed / "python", "-c", code)
    assert done.returncode == 0, done.stderr
    heavy, took = done.stdout.splitlines()[-1].rsplit(" ", 1)
    assert heavy == "[]"
    assert float(took) < 2  # 0.03 s on an idle machine
    assert "generate" in run_in(installed / "lstmusic", "--help").stdout
    assert "temperature" in run_in(installed / "lstmusic", "generate", "--help").stdout


@pytest.mark.skipif(not BUNDLED.is_dir(), reason="lstmusic/pretrained/bach is not there yet: nothing to generate with")
def test_the_bundled_model_makes_music_from_an_empty_folder(installed, run_in, tmp_path):
    done = run_in(installed / "lstmusic", "generate", "length.bars=1", "songs=1")
    assert done.returncode == 0, done.stderr
    (report,) = (tmp_path / "outputs" / "generate").glob("*/report.json")
    (song,) = json.loads(report.read_text())["songs"]
    assert song["illegal"] == 0
    assert {"mid", "wav", "png"} <= set(song["files"])
    assert all((report.parent / name).stat().st_size > 0 for name in song["files"].values())
    assert (report.parent / "index.html").is_file()
