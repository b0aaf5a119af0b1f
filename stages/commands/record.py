"""`record add`: take records that `artificer prove` made on other machines into registry/, for the next `pack`."""

from pathlib import Path

import msgspec

from artificer.manifest import Benchmark, Manifest, canonical_json
from artificer.proving.local_record import LocalRecord, ProvenExecution
from stages.commands.record_checks import packed_manifest, problems, rejudged
from stages.core import files, paths
from stages.core.errors import RegistryError
from stages.core.params import load_params
from stages.records.benchmarks import BASELINE
from stages.records.measured_files import load_measured
from stages.records.parity_records import VariantParity
from stages.registry import model_list


def record(action: str, file: list[str]) -> None:  # noqa: ARG001  # `add` is the only one
    """`add_records`, and what to do next."""
    slugs = add_records(file)
    print(f"next: dvc repro {' '.join(f'pack@{slug}' for slug in slugs)}")


def add_records(file: list[str]) -> list[str]:
    """Check every file, then write: nothing is taken where one is refused. The slugs of their models.

    Raises RegistryError with every problem.
    """
    found = [(name, _read(Path(name))) for name in file]
    known = model_list.slugs()
    manifests = {each.slug: packed_manifest(each.slug) for _, each in found if each.slug in known}
    refused = [f"{name}: unknown model {each.slug!r}." for name, each in found if each.slug not in known]
    for name, each in found:
        if each.slug in known:
            refused += [f"{name}: {problem}" for problem in problems(each, manifests[each.slug])]
    if refused:
        raise RegistryError("\n".join(refused) + "\nNothing was added.")
    writes: dict[Path, bytes] = {}
    for name, each in found:
        writes |= _writes(name, each, manifests[each.slug])
    for path, data in writes.items():
        files.write_file(path, data)
    return sorted(manifests)


def _read(path: Path) -> LocalRecord:
    try:
        return msgspec.json.decode(path.read_bytes(), type=LocalRecord)
    except OSError as error:
        raise RegistryError(f"{path}: {error.strerror}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RegistryError(f"{path}: expected what `artificer prove --out` writes: {error}.") from None


def _writes(name: str, found: LocalRecord, manifest: Manifest) -> dict[Path, bytes]:
    """The files to write, by path; prints what was found."""
    params = load_params()
    print(f"{name}: {found.slug} on {found.host.name}")
    for each in found.executions:
        verdict, reasons = rejudged(each, manifest, params)
        here = "" if verdict == each.verdict else f" (by the thresholds of its package: {each.verdict})"
        print(f"  {each.label}: {verdict}{here}{': ' if reasons else ''}{'; '.join(reasons)}")
    parity = paths.parity_records(found.slug) / f"{found.host.name}.json"
    writes = {parity: canonical_json(_parity(found.executions))}
    place = paths.benchmarks(found.slug) / f"{found.host.name}.json"
    if _is_better(place, manifest):
        print(f"  {place} is kept: it was measured beside torch")
    else:
        writes[place] = canonical_json(_benchmark(found, manifest))
    return writes


def _parity(executions: tuple[ProvenExecution, ...]) -> list[VariantParity]:
    ids = list(dict.fromkeys(each.id for each in executions))
    return [_of_variant([each for each in executions if each.id == variant_id]) for variant_id in ids]


def _of_variant(executions: list[ProvenExecution]) -> VariantParity:
    measured = tuple(each.measurement for each in executions if each.measurement is not None)
    error = next((each.error for each in executions if each.error is not None), None)
    return VariantParity(
        id=executions[0].id,
        digest=executions[0].digest,
        error=None if measured else error,
        measurements=measured,
        logits=(),
    )


def _benchmark(found: LocalRecord, manifest: Manifest) -> Benchmark:
    sizes = {variant.id: variant.size_bytes for variant in manifest.variants}
    benchmark = found.benchmark()
    subjects = tuple(msgspec.structs.replace(each, size_bytes=sizes[each.id]) for each in benchmark.subjects)
    return msgspec.structs.replace(benchmark, subjects=subjects)


def _is_better(place: Path, manifest: Manifest) -> bool:
    """Whether figures of the same bytes beside torch are there."""
    if not place.is_file():
        return False
    digests = {variant.digest for variant in manifest.variants if variant.digest}
    known = load_measured(place, Benchmark)
    return known.baseline == BASELINE and any(each.digest in digests for each in known.subjects)
