"""Mutate a manifest a hundred thousand times: typed errors only, and no path of a survivor leaves the folder.

    python benchmarks/mutants.py PUBLISHED_FOLDER [--count 100000] [--seed 0]
    python benchmarks/mutants.py PUBLISHED_FOLDER --atheris -max_total_time=300   (coverage-guided: pip install atheris)

Mutations are structural (a value replaced, a key dropped, added or doubled, paths and hashes made hostile) and textual
(bytes flipped, cut, doubled). Each survivor is read, validated, selected from, and its files verified below an empty
folder, while an audit hook watches every `open`.
"""

import argparse
import json
import random
import sys
import tempfile
import warnings
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from artificer import host
from artificer.errors import ArtificerError
from artificer.loading.integrity import verify_files
from artificer.manifest import Manifest
from artificer.selection.policy import Policy
from artificer.selection.select import select

HOSTILE: list[Any] = [
    None, True, -1, 0, 1e308, 2**70, "", "..", "../../etc/passwd", "/etc/passwd", "C:\\x", "a\u0000b", "\ud800", "CON",
    "x" * 10000, [], {}, [[]], "passed", "failed", "0" * 64, float("1e-320"), "manifest.json", "MANIFEST.JSON", "2.0",
]  # fmt: skip
HERE = host.detect()


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        found += places(child, (*path, key))
    return found


def mutate(text: str, spots: list[tuple[Any, ...]], dice: random.Random) -> bytes:
    """One to three structural mutations, or a textual one."""
    if dice.random() < 0.3:
        data = bytearray(text.encode())
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(len(data))
            kind = dice.randrange(3)
            if kind == 0:
                data[at] = dice.randrange(256)
            elif kind == 1:
                del data[at : at + dice.randint(1, 40)]
            else:
                data[at:at] = data[at : at + dice.randint(1, 40)]
        return bytes(data)
    value = json.loads(text)
    for _ in range(dice.randint(1, 3)):
        spot = dice.choice(spots)
        parent = value
        try:
            for key in spot[:-1]:
                parent = parent[key]
            kind = dice.randrange(4)
            if kind == 0:
                del parent[spot[-1]]
            elif kind == 1 and isinstance(parent, list):
                parent.append(parent[spot[-1]])
            elif kind == 2 and isinstance(parent, dict):
                parent[f"{spot[-1]}_"] = dice.choice(HOSTILE)
            else:
                parent[spot[-1]] = dice.choice(HOSTILE)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier mutation took this place away
    return json.dumps(value, ensure_ascii=dice.random() < 0.5).encode("utf-8", "surrogatepass")


def attempt(data: bytes, folder: Path) -> str:
    """What became of one manifest; raises whatever is not a typed error."""
    try:
        manifest = Manifest.from_json(data)
    except ArtificerError as error:
        return type(error).__name__
    with suppress(ArtificerError):
        select(manifest, HERE, Policy())
    try:
        verify_files(folder, manifest.published_files(), manifest_sha256="", verification_cache=None)
    except ArtificerError:
        return "read; its files are refused"
    return "read; it has no files"


def watch(folder: Path) -> list[str]:
    """A list that fills with every path opened outside of `folder` from now on."""
    outside: list[str] = []

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | bytes) and watching:
            path = arguments[0] if isinstance(arguments[0], str) else arguments[0].decode(errors="replace")
            if not path.startswith(str(folder)):
                outside.append(path)

    watching = True
    sys.addaudithook(hook)
    return outside


def main() -> None:
    """Print the outcomes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--atheris", action="store_true")
    given, rest = parser.parse_known_args()
    warnings.simplefilter("ignore")
    text = (given.folder / "manifest.json").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as scratch:
        outside = watch(Path(scratch))
        if given.atheris:
            import atheris

            atheris.instrument_all()

            def one(data: bytes) -> None:
                attempt(data, Path(scratch))
                attempt(mutate(text, spots, random.Random(data)), Path(scratch))

            spots = places(json.loads(text))
            atheris.Setup([sys.argv[0], *rest], one)
            atheris.Fuzz()
        spots, dice, outcomes = places(json.loads(text)), random.Random(given.seed), Counter[str]()
        for _ in range(given.count):
            data = mutate(text, spots, dice)
            try:
                outcomes[attempt(data, Path(scratch))] += 1
            except Exception as error:
                outcomes[f"UNTYPED {type(error).__name__}: {error}"[:200]] += 1
        opened = [path for path in outside if "site-packages" not in path and not path.endswith((".py", ".pyc"))]
    print(f"{given.count} manifests: {dict(outcomes)}; opened outside of the folder: {len(opened)} {opened[:3]}")
    raise SystemExit(any(key.startswith("UNTYPED") for key in outcomes) or bool(opened))


if __name__ == "__main__":
    main()
