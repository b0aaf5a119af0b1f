"""Many threads score for a while: no error, every score right, and the resident memory's slope.

python -m benchmarks.soak PUBLISHED_FOLDER [--variant onnx] [--threads 16] [--minutes 10]
"""

import argparse
import random
import resource
import threading
import time
from pathlib import Path

import numpy as np

import artificer
from benchmarks.texts import passage


def resident_mib() -> float:
    """Now; on systems without /proc, the peak."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 2**20
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print what was scored, what went wrong, and how memory moved."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--variant", default="onnx")
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--minutes", type=float, default=10)
    given = parser.parse_args()
    reranker = artificer.load(given.folder, variant=given.variant)
    exact = reranker.manifest.variant(given.variant).precision_class == "fp32"
    pairs = [(passage(6, seed), passage(3 + seed % 150, seed)) for seed in range(200)]
    expected = np.array([reranker.predict(pair) for pair in pairs])
    end = time.monotonic() + 60 * given.minutes
    scored, wrong, errors = [0] * given.threads, [0] * given.threads, list[str]()

    def work(me: int) -> None:
        dice = random.Random(me)
        while time.monotonic() < end:
            chosen = [dice.randrange(len(pairs)) for _ in range(dice.randint(1, 12))]
            try:
                found = reranker.predict([pairs[i] for i in chosen], batch_size=dice.choice((1, 4, 32)))
            except Exception as error:
                errors.append(repr(error))
                return
            scored[me] += len(chosen)
            wrong[me] += int((np.abs(found - expected[chosen]) > (1e-5 if exact else 0.1)).sum())

    workers = [threading.Thread(target=work, args=(me,)) for me in range(given.threads)]
    for worker in workers:
        worker.start()
    samples: list[tuple[float, float]] = []
    while any(worker.is_alive() for worker in workers):
        time.sleep(min(5.0, 6 * given.minutes))
        samples.append((time.monotonic(), resident_mib()))
    steady = samples[len(samples) // 4 :]
    slope = np.polyfit([at / 60 for at, _ in steady], [size for _, size in steady], 1)[0] if len(steady) > 2 else 0.0
    print(
        f"{given.variant}: {given.threads} threads, {given.minutes:g} minutes: {sum(scored)} pairs,"
        f" {len(errors)} errors, {sum(wrong)} wrong scores; RSS {steady[0][1]:.0f} -> {steady[-1][1]:.0f} MiB,"
        f" slope {slope:+.3f} MiB/min after the first quarter"
    )
    print("\n".join(errors[:5]))


if __name__ == "__main__":
    main()
