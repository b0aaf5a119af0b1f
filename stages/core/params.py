"""params.yaml, parsed and checked once: the only reader of that file. An unknown key is an error."""

from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from artificer.manifest import Metrics, PrecisionClass
from stages.core import paths
from stages.core.errors import RegistryError
from stages.core.names import NAMESPACE_PATTERN, REPO_PATTERN
from stages.core.variants import VARIANT_IDS
from stages.core.yaml_files import convert, read_yaml

Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(ge=0)]


class Columns(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The names of a set's columns. `label` holds a number, for models with one label; `classes` holds which labels
    apply, for models with several: one or a list, by index or by name."""

    query: str
    passage: str
    label: str | None = None
    classes: str | None = None


class DataSet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A local file (`path`) or a data set of the Hub (`dataset` and what follows)."""

    path: str | None = None
    dataset: str | None = None
    revision: str | None = None
    config: str | None = None
    split: str | None = None
    splits: tuple[str, ...] = ()
    layout: Literal["pairs", "nanobeir"] = "pairs"
    columns: Columns | None = None
    rows: Positive | None = None


class DataParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which sets there are, and which are used where an entry names no other."""

    evaluation: str
    calibration: str
    relevant_from: float
    sets: dict[str, DataSet]


class QuantizeOpenvinoParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Calibration of the static int8 variant."""

    calibration_rows: Positive
    max_length: Positive


class FallbackParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an int8 variant that misses its thresholds may cost: fallback recipes a variant, recipes times millions of
    parameters, pairs each is judged on."""

    attempts: Annotated[int, Meta(ge=0)]
    work: Positive
    rows: Positive

    def attempts_for(self, parameters: int) -> int:
        """Fallback recipes for a variant of a model of that size: fewer for a larger one, and one at least."""
        return min(self.attempts, max(1, int(self.work * 1e6 / max(parameters, 1))))


class ParityParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How variants are compared with the reference."""

    rows: Positive
    batch_size: Positive
    top_k: Positive
    golden_pairs: Annotated[int, Meta(ge=1, le=32)]


class Workload(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Texts of one length: the first `pairs` of a set, each text cut to `max_characters` and repeated."""

    set: str
    pairs: Positive
    max_characters: Positive | None = None
    repeat: Positive = 1


class Preset(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One benchmark: workloads, batch sizes, and how many interleaved rounds."""

    rounds: Positive
    batch_sizes: tuple[Positive, ...]
    workloads: dict[str, Workload]


class BenchmarkParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The preset in use, and all presets."""

    preset: str
    threads: Positive | None
    max_minutes: Annotated[float, Meta(gt=0)]
    presets: dict[str, Preset]

    @property
    def chosen(self) -> Preset:
        """The preset in use."""
        return self.presets[self.preset]


class RetryParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which requests are made again, how often, and how long in all. Waits are in seconds."""

    statuses: tuple[Annotated[int, Meta(ge=400, le=599)], ...]
    attempts: Positive
    first_wait_seconds: Seconds
    max_wait_seconds: Seconds
    total_seconds: Seconds


class HubParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the Hub is asked."""

    timeout_seconds: Seconds
    retry: RetryParams


class IndexParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where index.json is kept: a folder, or a repo of the Hub."""

    folder: str | None = None
    repo: Annotated[str, Meta(pattern=REPO_PATTERN)] | None = None


class PublishParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where published models go, and what is checked there."""

    target: Literal["folder", "hub"]
    folder: str
    namespace: Annotated[str, Meta(pattern=NAMESPACE_PATTERN)]
    read_back: Literal["uploaded", "all", "hashes"]
    index: IndexParams | None


class ClassThresholds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one class of precision is judged against; null means that a metric is recorded and not judged."""

    score_max_abs: float | None
    score_mean_abs: float | None
    spearman: float | None
    top_k_overlap: float | None
    quality_ratio: float | None

    def by_name(self) -> Metrics:
        """As the manifest has them."""
        found: Metrics = msgspec.structs.asdict(self)
        return found


class BuildParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """params.yaml as a whole."""

    data: DataParams
    recipes: dict[str, dict[str, Any]]
    quantize_openvino: QuantizeOpenvinoParams
    fallback: FallbackParams
    parity: ParityParams
    thresholds: dict[PrecisionClass, ClassThresholds]
    benchmark: BenchmarkParams
    hub: HubParams
    publish: PublishParams


def load_params() -> BuildParams:
    """The checked file. Raises RegistryError with the key path of what is wrong."""
    params = convert(read_yaml(paths.PARAMS), BuildParams, paths.PARAMS, "")
    for variant_id in params.recipes:
        _require(
            variant_id in VARIANT_IDS, f"recipes.{variant_id}", f"no such variant; known: {', '.join(VARIANT_IDS)}"
        )
    for precision_class in get_args(PrecisionClass):
        _require(precision_class in params.thresholds, "thresholds", f"missing key `{precision_class}`")
    for precision_class, thresholds in params.thresholds.items():
        for name, share in thresholds.by_name().items():
            where = f"thresholds.{precision_class}.{name}"
            _require(share is None or 0 <= share <= 1, where, f"expected a share of 1 or null, found {share}")
    for use in ("evaluation", "calibration"):
        _require_set(params.data, getattr(params.data, use), f"data.{use}")
    for name, data_set in params.data.sets.items():
        _check_set(name, data_set)
    benchmark = params.benchmark
    known = ", ".join(benchmark.presets)
    _require(benchmark.preset in benchmark.presets, "benchmark.preset", f"no {benchmark.preset!r}; known: {known}")
    for preset_name, preset in benchmark.presets.items():
        where = f"benchmark.presets.{preset_name}"
        _require(bool(preset.batch_sizes and preset.workloads), where, "expected batch_sizes and workloads")
        for name, workload in preset.workloads.items():
            _require_set(params.data, workload.set, f"{where}.workloads.{name}.set")
    index = params.publish.index
    _require(index is None or bool(index.folder) != bool(index.repo), "publish.index", "expected `folder` or `repo`")
    return params


def _check_set(name: str, data_set: DataSet) -> None:
    where = f"data.sets.{name}"
    _require(bool(data_set.path) != bool(data_set.dataset), where, "expected one of `path` and `dataset`")
    if data_set.dataset:
        _require(bool(data_set.revision), f"{where}.revision", "expected a commit or branch of the data set")
        if data_set.layout == "nanobeir":
            _require(bool(data_set.splits), f"{where}.splits", "expected the names of NanoBEIR's splits")
            return
        _require(bool(data_set.split), f"{where}.split", "expected the split to read")
    columns = data_set.columns
    _require(columns is not None, f"{where}.columns", "expected `query` and `passage`")
    both = columns is not None and bool(columns.label and columns.classes)
    _require(not both, f"{where}.columns", "expected one of `label` and `classes`")


def _require_set(data: DataParams, name: str, where: str) -> None:
    _require(name in data.sets, where, f"no set {name!r}; known: {', '.join(data.sets)}")


def _require(condition: bool, where: str, problem: str) -> None:
    if not condition:
        raise RegistryError(f"{paths.PARAMS}: {where}: {problem}.")
