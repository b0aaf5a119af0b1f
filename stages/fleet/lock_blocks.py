"""dvc.lock as blocks of text, one for each stage: read, taken apart and merged without parsing what stays.

DVC writes one stage after the other, each name at two spaces. With a thousand models the file has over a million lines;
DVC itself takes minutes to read and write it. Blocks that are merged stay as DVC wrote them, byte for byte.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from stages.core import files
from stages.core.errors import RegistryError

DVC_LOCK = Path("dvc.lock")
HEAD = "schema: '2.0'\nstages:\n"
Blocks = dict[str, str]
_NAME = re.compile(r"^  (\S[^\n]*?):\n", re.MULTILINE)


def _loader() -> Any:
    """libyaml's, which knows YAML 1.1, with the floats of 1.2: DVC writes `1e-05`, which is text in 1.1."""
    found: Any = type("LockLoader", (getattr(yaml, "CSafeLoader", yaml.SafeLoader),), {})
    found.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?\d[\d_]*(\.\d*)?[eE][-+]?\d+$"), [*"-+0123456789"]
    )
    return found


_LOADER = _loader()
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def model_of(stage: str) -> str:
    """The slug of a stage's name, empty for a stage that runs once."""
    return stage.partition("@")[2]


def read_blocks(path: Path = DVC_LOCK) -> Blocks:
    """The text of every stage by its name; none where there is no file. Raises RegistryError for a file that is not a
    dvc.lock."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    if not text.startswith(HEAD):
        return _reformatted(text, path)
    body = text[len(HEAD) :]
    found = list(_NAME.finditer(body))
    ends = [match.start() for match in found[1:]] + [len(body)]
    blocks = {match[1]: body[match.start() : end] for match, end in zip(found, ends, strict=True)}
    if "".join(blocks.values()) != body:
        return _reformatted(text, path)
    return blocks


def write_blocks(blocks: Mapping[str, str], path: Path = DVC_LOCK) -> None:
    """Replace the file."""
    text = HEAD + "".join(blocks.values()) if blocks else "schema: '2.0'\nstages: {}\n"
    files.write_file(path, text.encode())


def parse_block(block: str) -> dict[str, Any]:
    """The lock of one stage: `cmd`, `deps`, `params`, `outs`."""
    (found,) = yaml.load(block, Loader=_LOADER).values()
    return dict(found)


def of_models(blocks: Mapping[str, str]) -> dict[str, Blocks]:
    """The blocks of each model by its slug."""
    found: dict[str, Blocks] = {}
    for name, block in blocks.items():
        if slug := model_of(name):
            found.setdefault(slug, {})[name] = block
    return found


def merged(blocks: Mapping[str, str], new: Mapping[str, str], order: Iterable[str]) -> Blocks:
    """Both, where `new` replaces what has the same name. Stages that run once stand first or last as they did; those of
    models are in the order of `order` (slugs), so that the result does not depend on who was built first.

    Raises RegistryError for a new block that is not the lock of its stage.
    """
    for name, block in new.items():
        if list(yaml.load(block, Loader=_LOADER) or {}) != [name]:
            raise RegistryError(f"the lock of {name} is damaged: build it again.")
    both = {**blocks, **new}
    models = of_models(both)
    known = [*order]
    slugs = [slug for slug in known if slug in models]
    slugs += sorted(models.keys() - set(known))
    first = {name: block for name, block in both.items() if name == "host"}
    last = {name: block for name, block in both.items() if "@" not in name and name not in first}
    return {**first, **{name: block for slug in slugs for name, block in models[slug].items()}, **last}


def _reformatted(text: str, path: Path) -> Blocks:
    """The blocks of a file that DVC did not write in this form."""
    try:
        stages = yaml.load(text, Loader=_LOADER)["stages"]
        return {
            name: "".join(
                f"  {line}\n" for line in yaml.dump({name: lock}, Dumper=_DUMPER, sort_keys=False).splitlines()
            )
            for name, lock in stages.items()
        }
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise RegistryError(f"{path}: expected what DVC writes: {error}. Restore it from git.") from None
