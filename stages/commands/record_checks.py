"""Whether a record from another machine is what it says, and of what `pack` would publish."""

import re
from collections.abc import Iterator
from math import isfinite

from artificer.backends import BACKENDS
from artificer.backends.offers import unknown_settings
from artificer.host import class_of, gpu_class, host_name, isa_class
from artificer.manifest import MANIFEST_FILE, Host, Manifest, Metrics, Variant, said
from artificer.manifest.metric_names import QUALITY_RATIO
from artificer.proving.judging import judge, thresholds_class
from artificer.proving.local_record import RECORD_VERSION, LocalRecord, ProvenExecution, judged
from artificer.proving.measurement import Measurement
from stages.core import paths
from stages.core.errors import UsageError
from stages.core.params import BuildParams
from stages.records.host_record import load_host


def packed_manifest(slug: str) -> Manifest:
    """What `pack` made. Raises UsageError where nothing is packed."""
    path = paths.package(slug) / MANIFEST_FILE
    try:
        return Manifest.from_json(path.read_bytes())
    except FileNotFoundError:
        raise UsageError(
            f"{path} is missing: a record is compared with what would be published. Run `dvc repro pack@{slug}`, or "
            f"`dvc pull artifacts/packages/{slug}`."
        ) from None


def problems(record: LocalRecord, manifest: Manifest) -> Iterator[str]:
    """Each a sentence on what is wrong with the record as a whole, or with one of its executions."""
    if record.record_version.partition(".")[0] != RECORD_VERSION.partition(".")[0]:
        yield f"record_version: expected {RECORD_VERSION}, found {record.record_version!r}."
        return
    if record.quick:
        yield "quick: it was made with --quick, on fewer texts. Run `artificer prove` without it."
    if manifest.proof is None or record.proof_sha256 != manifest.proof.file.sha256:
        yield "proof_sha256: it was proven by another proof set than the package has. Prove what is published now."
        return
    yield from _host_problems(record.host)
    for each in record.executions:
        variant = next((v for v in manifest.variants if v.id == each.id and v.status == "passed"), None)
        if variant is None:
            yield f"{each.label}: the package has no passed variant {each.id!r}."
        elif each.digest != variant.digest:
            yield f"{each.label}: digest: it was proven on other files than the package has."
        else:
            yield from _execution_problems(each, variant, record.host, manifest)


def rejudged(each: ProvenExecution, manifest: Manifest, params: BuildParams) -> tuple[str, tuple[str, ...]]:
    """The verdict by params.yaml, which is the one that `pack` will publish."""
    if each.measurement is None:
        return "failed", (each.error or "it could not be run",)
    name = thresholds_class(manifest.variant(each.id).precision_class, each.precision)
    found = judge(each.measurement, params.thresholds[name].by_name(), None)
    return found.verdict, found.reasons


def _host_problems(host: Host) -> Iterator[str]:
    """Names and classes follow from what the host has: they become names of files."""
    expected = isa_class(host.isa, host.architecture)
    if host.isa_class != expected:
        yield f"host.isa_class: its instruction sets are those of {expected}, found {host.isa_class!r}."
    classes = {runtime: class_of(host, runtime) for runtime in host.runtime_isa}
    name = host_name(host.cpu_model, expected, host.cores, host.accelerators, classes)
    if host.name != name or not re.fullmatch("[a-z0-9_-]+", name):
        yield f"host.name: expected {name!r}, found {host.name!r}."
    if not host.runtime_isa.keys() <= BACKENDS.keys():
        yield f"host.runtime_isa: unknown runtimes {', '.join(sorted(host.runtime_isa.keys() - BACKENDS.keys()))}."
    if paths.HOST.is_file() and load_host().name == host.name:
        yield f"host.name: {host.name} is this project's own machine, whose figures `dvc repro` measures."


def _execution_problems(each: ProvenExecution, variant: Variant, host: Host, manifest: Manifest) -> Iterator[str]:
    backend = BACKENDS[variant.runtime]
    offers = [(o.device, o.precision, dict(o.settings)) for o in backend.offers(host, variant.precision_class)]
    if unknown_settings(each.settings, backend.settings):
        yield f"{each.label}: settings: {backend.name} has no {', '.join(said(each.settings))}."
    elif (each.device, each.precision, each.settings) not in offers:
        yield f"{each.label}: {backend.name} does not offer this on {host.name}."
    measurement = each.measurement
    if measurement is None:
        if each.verdict != "failed" or not each.error:
            yield f"{each.label}: it has no measurement, and no error that says why."
        return
    expected = {
        "device": each.device,
        "execution_precision": each.precision,
        "settings": each.settings,
        "isa_class": class_of(host, variant.runtime) if each.device == "cpu" else gpu_class(host.accelerators),
        "runtime_version": host.runtimes.get(backend.packages.get(each.device, backend.packages["cpu"]).distribution),
    }
    for name, value in expected.items():
        if getattr(measurement, name) != value:
            yield f"{each.label}: measurement.{name}: expected {value!r}, found {getattr(measurement, name)!r}."
    yield from _metric_problems(each.label, measurement, _limits(each, variant, manifest))
    parity = judged(manifest, variant, measurement)
    if parity.verdict != each.verdict:
        yield f"{each.label}: verdict: by its own figures it {parity.verdict}, and the record says {each.verdict!r}."


def _limits(each: ProvenExecution, variant: Variant, manifest: Manifest) -> Metrics:
    assert manifest.proof is not None
    return manifest.proof.thresholds.get(thresholds_class(variant.precision_class, each.precision), {})


def _metric_problems(label: str, measurement: Measurement, limits: Metrics) -> Iterator[str]:
    for name, value in measurement.metrics.items():
        if value is not None and (not isfinite(value) or (name.endswith("_abs") and value < 0)):
            yield f"{label}: metrics.{name}: expected a finite number, found {value}."
    for name, limit in limits.items():
        if limit is not None and name != QUALITY_RATIO and name not in measurement.metrics:
            yield f"{label}: metrics.{name}: missing, and it has a threshold."
