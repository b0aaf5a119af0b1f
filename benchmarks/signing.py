"""What signing and checking a package costs, by its size.

    python -m benchmarks.signing [--megabytes 170 12500] [--folder /tmp]

Makes a folder of random files of that size, signs it with a key, and checks it: by model-signing alone, which reads the
files each time, and as Artificer does it, with the hashes that publishing and loading compute anyway. The folder is
deleted afterwards.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import model_signing

from artificer.loading.integrity import verify_files
from artificer.manifest import SIGNATURE_FILE, FileEntry, describe_file
from artificer.signing.signature_check import check_signed_folder
from artificer.signing.signed_by import SignedBy
from artificer.signing.stated_hashes import StatedHashes
from tests.signing.keys import make_key

FILES = 6
BLOCK = 16 << 20


def main() -> None:
    """Print one table for all sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[170, 12_500])
    parser.add_argument("--folder", default=tempfile.gettempdir())
    given = parser.parse_args()
    columns = {}
    for size in given.megabytes:
        with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
            columns[size] = measure(Path(scratch), size)
    print("| seconds | " + " | ".join(f"{size:,} MB" for size in columns) + " |")
    print("|---|" + "---:|" * len(columns))
    for row in next(iter(columns.values())):
        print(f"| {row} | " + " | ".join(f"{column[row]:.3f}" for column in columns.values()) + " |")
    code = "import time; start = time.perf_counter(); import model_signing; print(time.perf_counter() - start)"
    imports = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(5)]
    print(f"importing model-signing in a new process: {sorted(imports)[2]:.2f} s (median of 5)")


def measure(scratch: Path, megabytes: int) -> dict[str, float]:
    """Seconds by row, each measured once; the files were read just before, as far as memory holds them."""
    folder, cache = scratch / "package", scratch / "verified"
    make(folder, megabytes * 1_000_000)
    private, public = make_key(scratch / "keys")
    wanted = SignedBy(key=public)
    signature = folder / SIGNATURE_FILE
    names = sorted(path.name for path in folder.iterdir())
    entries: list[FileEntry] = []

    def sign_known() -> None:
        stated = StatedHashes("package", {entry.path: entry.sha256 for entry in entries})
        signer = model_signing.signing.Config().use_elliptic_key_signer(private_key=private)
        signer.set_hashing_config(stated).sign(folder, signature)

    def verify(mode: str) -> None:
        check_signed_folder(folder, wanted)
        verify_files(
            folder,
            entries,
            manifest_sha256="0" * 64,
            verification_cache=cache if mode != "full" else None,
            mode="full" if mode == "full" else "cached",
        )

    alone = model_signing.signing.Config().use_elliptic_key_signer(private_key=private)
    verifier = model_signing.verifying.Config().use_elliptic_key_verifier(public_key=public)
    return {
        "hash every file, as a publish does": timed(
            lambda: entries.extend(describe_file(folder, name) for name in names)
        ),
        "sign: model-signing alone": timed(lambda: alone.sign(folder, scratch / "alone.sig")),
        "sign: with the hashes of the publish": timed(sign_known),
        "verify: model-signing alone": timed(lambda: verifier.verify(folder, signature)),
        "verify: `artificer verify --signature`": timed(lambda: verify("full")),
        "load: first, every file hashed once": timed(lambda: verify("cached")),
        "load: later, with the verification cache": timed(lambda: verify("cached")),
    }


def make(folder: Path, size: int) -> None:
    """`FILES` random files of equal size."""
    folder.mkdir()
    block = os.urandom(BLOCK)
    for number in range(FILES):
        left = size // FILES
        with (folder / f"weights-{number}.bin").open("wb") as stream:
            while left > 0:
                stream.write(left.to_bytes(8) + block[8 : min(left, BLOCK)])
                left -= BLOCK
        os.utime(folder / f"weights-{number}.bin", (1, 1))
    time.sleep(0.2)  # what changed just now is not cached as verified


def timed(action: Callable[[], object]) -> float:
    """Its seconds."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
