"""Kill the preparation of a folder at random moments and compare what it ends with.

    python tests/corpus/kill.py FOLDER --kills 20

Each run is started in the cache that the killed one left, and killed with SIGKILL after a random time, at most as long as
an undisturbed run takes. A run that is done before that is compared, and the next one starts from nothing.
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

PREPARE = """
import sys
from pathlib import Path
from lstmusic.corpus import sources, store
folder, encoding, cache, jobs = sys.argv[1:]
store.prepare(sources.folder(folder, cache), encoding, {}, cache=Path(cache), jobs=int(jobs))
"""


def content(cache: Path) -> str:
    """The sha256 of every file of the one corpus in a cache, names included."""
    (manifest,) = cache.glob("*/manifest.json")
    digest = hashlib.sha256()
    for file in sorted(manifest.parent.rglob("*")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def main() -> None:
    """Print the hash of the undisturbed corpus, then of each that was killed on the way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--encoding", default="performance")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rng = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as own:
        cache = Path(own) / "cache"
        command = [sys.executable, "-c", PREPARE, asked.folder, asked.encoding, cache, str(asked.jobs)]
        started = time.monotonic()
        subprocess.run(command, check=True)
        longest, undisturbed = time.monotonic() - started, content(cache)
        print(f"undisturbed: {undisturbed} after {longest:.1f} s", flush=True)
        shutil.rmtree(cache)
        kills = on_the_way = 0
        while kills < asked.kills or on_the_way:
            silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            process = subprocess.Popen(command, **silent, start_new_session=True)
            with suppress(subprocess.TimeoutExpired):
                process.wait(rng.uniform(0, longest) if kills < asked.kills else None)
            if process.poll() is None:
                # Every other time with all its processes, as a machine that loses power; else its children live on
                (os.killpg if kills % 2 else os.kill)(process.pid, signal.SIGKILL)
                process.wait()
                kills, on_the_way = kills + 1, on_the_way + 1
                continue
            found = content(cache)
            print(f"killed {on_the_way} times: {found}", flush=True)
            if process.returncode or found != undisturbed:
                raise SystemExit("another corpus")
            shutil.rmtree(cache)
            on_the_way = 0
    print(f"{kills} kills, the same corpus each time")


if __name__ == "__main__":
    main()
