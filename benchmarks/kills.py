"""Kill a fetching process with SIGKILL at random moments: the cache must hold each file whole, or not at all.

python benchmarks/kills.py PUBLISHED_FOLDER [--kills 50]
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from artificer.hub.fetch import FolderSource, fetch_files
from artificer.loading.loader import load
from artificer.loading.location import read_manifest
from artificer.manifest import MANIFEST_FILE, describe_file

CHILD = """
import sys, time
from pathlib import Path
from artificer.fetch import FolderSource, fetch_files
from artificer.loading import read_manifest
class Slow(FolderSource):
    def open(self, path):
        stream = super().open(path)
        read = stream.read
        class Stream:
            def __enter__(self): return self
            def __exit__(self, *_): stream.close()
            def read(self, size): time.sleep(0.002); return read(65536)
        return Stream()
manifest, sha256 = read_manifest(Path(sys.argv[1]))
print("ready", flush=True)
source, target = Slow(Path(sys.argv[1])), Path(sys.argv[2])
fetch_files(source, target, manifest.published_files(), manifest_sha256=sha256, verification_cache=None)
"""


def main() -> None:
    """Print how many kills hit a running fetch, and what the cache held afterwards."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    given = parser.parse_args()
    manifest, sha256 = read_manifest(given.folder)
    dice, hit, bad, partial = random.Random(0), 0, 0, 0
    with tempfile.TemporaryDirectory() as scratch:
        cache = Path(scratch) / "cache"
        for _ in range(given.kills):
            child = subprocess.Popen(
                [sys.executable, "-c", CHILD, str(given.folder), str(cache)], stdout=subprocess.PIPE
            )
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(dice.uniform(0, 0.25))
            hit += child.poll() is None
            child.send_signal(signal.SIGKILL)
            child.wait()
            child.stdout.close()
            there = [entry for entry in manifest.published_files() if (cache / entry.path).exists()]
            bad += sum(describe_file(cache, entry.path) != entry for entry in there)
            if len(there) == len(manifest.published_files()):
                for entry in there:  # begin again
                    (cache / entry.path).unlink()
            elif there:
                partial += 1
        fetch_files(
            FolderSource(given.folder),
            cache,
            manifest.published_files(),
            manifest_sha256=sha256,
            verification_cache=None,
        )
        (cache / MANIFEST_FILE).write_bytes((given.folder / MANIFEST_FILE).read_bytes())
        load(cache).close()
    print(f"{given.kills} kills, {hit} while fetching, {partial} left a part of the files; wrong files: {bad};"
          " the next fetch completed and the model loaded")  # fmt: skip
    raise SystemExit(bool(bad))


if __name__ == "__main__":
    main()
