"""Files of the user's own as data sets: columns found and shown, the file below registry/data, pinned, and declared in
params.yaml. Everything is checked before anything is written."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml
from msgspec import Struct

from stages.core import files, paths
from stages.core.errors import DataError, UsageError
from stages.core.params import Columns, DataSet, load_params
from stages.core.yaml_edit import add_item
from stages.records.pairs import Pair
from stages.tasks.gold_labels import gold_classes
from stages.texts.column_names import Role, guess_columns
from stages.texts.columns import pairs_of
from stages.texts.local_files import SUFFIXES, rows_of_text
from stages.texts.set_pins import file_pin, load_pins, write_pins
from stages.texts.sets import Use, require_rows

SETS = ("data", "sets")
SHOWN_CHARACTERS = 60


class OwnSet(Struct, frozen=True, kw_only=True):
    """One file as a set. `source` is where it is now, `path` where it will be; `is_new`: params.yaml lacks it.
    `header` are all columns; `relevant_from` is for labels of 0 and 1, where the default of params.yaml is higher."""

    name: str
    source: Path
    path: Path
    header: tuple[str, ...]
    columns: Columns
    relevant_from: float | None
    pairs: tuple[Pair, ...]
    is_new: bool

    @property
    def is_copied(self) -> bool:
        """Whether it comes from outside of registry/."""
        return self.source.resolve() != self.path.resolve()


def own_sets(
    slug: str, wanted: dict[Use, str | None], given: dict[Role, str], labels: Sequence[str]
) -> dict[Use, OwnSet]:
    """The set for each use that a file is given for. One file for both uses is one set."""
    if given and not any(wanted.values()):
        raise UsageError("--columns names the columns of a file: give --evaluation FILE or --calibration FILE too.")
    found: dict[Use, OwnSet] = {}
    for use, file in wanted.items():
        if file is None:
            continue
        other = next(iter(found.values()), None)
        if other is not None and other.source.resolve() == Path(file).resolve():
            require_rows(file, len(other.pairs), use)
            found[use] = other
            continue
        found[use] = own_set(slug, use, file, given, labels)
        if other is not None and (other.name == found[use].name or other.path == found[use].path):
            raise DataError(f"{other.source} and {file} would both be the set {other.name}. Rename one of them.")
    return found


def own_set(slug: str, use: Use, file: str, given: dict[Role, str], labels: Sequence[str]) -> OwnSet:
    """Read a file for a model with these labels. Raises DataError for what cannot be used; writes nothing."""
    source = Path(file)
    if source.suffix.lower() not in SUFFIXES:
        raise DataError(f"{source}: expected a file named {', '.join(f'*{suffix}' for suffix in SUFFIXES)}.")
    try:
        text = source.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{source}: expected UTF-8: {error}.") from None
    except OSError as error:
        raise DataError(f"{source}: cannot be read: {error.strerror}.") from None
    where, first = next(iter(rows_of_text(source, text, None)), (str(source), None))
    if not isinstance(first, dict):
        raise DataError(f"{where}: expected rows with named columns, found {'none' if first is None else repr(first)}.")
    gold: Literal["label", "classes"] | None = None
    if use == "evaluation":
        gold = "label" if len(labels) == 1 else "classes"
    header = tuple(str(name) for name in first)
    columns = guess_columns(str(source), header, given, gold)
    pairs = tuple(pairs_of(rows_of_text(source, text, columns), columns))
    require_rows(str(source), len(pairs), use)
    if columns.classes:
        for pair in pairs:
            gold_classes(pair, labels)
    path = _place(source)
    data = load_params().data
    relevant_from = _relevant_from(pairs, data.relevant_from)
    wanted = DataSet(path=path.as_posix(), columns=columns, relevant_from=relevant_from)
    name, is_new = _name(slug, path, wanted, data.sets)
    return OwnSet(
        name=name,
        source=source,
        path=path,
        header=header,
        columns=columns,
        relevant_from=relevant_from,
        pairs=pairs,
        is_new=is_new,
    )


def show(found: OwnSet, use: Use) -> None:
    """Print how a file was read, and what becomes of it."""
    named = msgspec.to_builtins(found.columns).items()
    mapping = ", ".join(f"{role} = {column}" for role, column in named if column)
    print(f"{use}: {found.source}, {len(found.pairs):,} rows; {mapping}", flush=True)
    for role in ("query", "passage"):
        text = getattr(found.pairs[0], role)
        print(f"  first {role}: {text[:SHOWN_CHARACTERS]!r}{' …' if len(text) > SHOWN_CHARACTERS else ''}")
    if use == "evaluation":
        print(f"  {_gold(found)}")
    if found.is_copied:
        print(f"  copied to {found.path}: git then holds the file, and DVC sees its changes")
    else:
        print("  used where it is: DVC sees its changes there")
    unused = [column for column in found.header if column not in dict(named).values()]
    rest = f" ({', '.join(unused)})" if unused else ""
    print(f"  other columns{rest}: --columns query=…,passage=…,label=…")


def write(slug: str, sets: Sequence[OwnSet]) -> None:
    """Copy, pin and declare the sets."""
    pins = load_pins()
    text = paths.PARAMS.read_bytes().decode()
    for found in {each.name: each for each in sets}.values():
        if found.is_copied:
            files.write_file(found.path, found.source.read_bytes())
        if found.is_new:
            pins[found.name] = {**file_pin(found.path), "added_by": slug, "copied": found.is_copied}
            text = add_item(text, paths.PARAMS, SETS, found.name, _set_yaml(found))
        elif found.name not in pins:
            pins[found.name] = file_pin(found.path)
    write_pins(pins)
    files.write_file(paths.PARAMS, text.encode())


def _place(source: Path) -> Path:
    """Where the file lies in the registry: where it is, or below registry/data."""
    here = source.resolve()
    for folder in paths.DATA_FOLDERS:
        if here.is_relative_to(folder.resolve()):
            return here.relative_to(Path.cwd().resolve())
    target = paths.OWN_DATA / f"{_plain(source.stem)}{source.suffix.lower()}"
    if target.exists() and target.read_bytes() != source.read_bytes():
        raise DataError(f"{source} would be copied to {target}, which holds something else. Rename your file.")
    return target


def _relevant_from(pairs: Sequence[Pair], default: float) -> float | None:
    """1 for labels of 0 and 1, if by default none of them were relevant; else the default applies."""
    labels = {pair.label for pair in pairs}
    return 1.0 if default > 1 and labels == {0.0, 1.0} else None


def _name(slug: str, path: Path, wanted: DataSet, sets: dict[str, DataSet]) -> tuple[str, bool]:
    """A name in `data.sets`, and whether it is new: an equal set is used again."""
    for name, data_set in sets.items():
        if data_set == wanted:
            return name, False
    stem = _plain(path.stem)
    free = next((name for name in (stem, f"{slug}-{stem}") if name not in sets), None)
    if free is None:
        raise DataError(f"{paths.PARAMS}: data.sets has {stem} and {slug}-{stem} already. Rename {path.name}.")
    return free, True


def _plain(text: str) -> str:
    """A name without what YAML, DVC or a shell would read as more than a name."""
    found = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "data"
    return found if yaml.safe_load(found) == found else f"{found}-set"  # a bare `no` is false, `1` a number


def _gold(found: OwnSet) -> str:
    """What the labels are."""
    if found.pairs[0].label is None:
        return "no labels: variants are compared with the reference, quality is not measured"
    if found.columns.classes:
        values: set[Any] = {one for pair in found.pairs if isinstance(pair.label, tuple) for one in pair.label}
        return f"labels: {len(values)} different classes"
    numbers = [pair.label for pair in found.pairs if isinstance(pair.label, float)]
    relevant = "" if found.relevant_from is None else f"; relevant from {found.relevant_from:g} (relevant_from)"
    return f"labels: numbers from {min(numbers):g} to {max(numbers):g}{relevant}"


def _set_yaml(found: OwnSet) -> str:
    columns = {role: column for role, column in msgspec.to_builtins(found.columns).items() if column}
    raw: dict[str, Any] = {"path": found.path.as_posix(), "columns": columns}
    if found.relevant_from is not None:
        raw["relevant_from"] = found.relevant_from
    return yaml.safe_dump(raw, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000).strip()
