"""params.yaml, parsed and checked once: the only reader of that file. An unknown key is an error."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from artificer.manifest import Metrics, PrecisionClass
from stages.core import paths
from stages.core.errors import RegistryError
from stages.core.names import NAMESPACE_PATTERN, PIP_ADDRESS_PATTERN, REPO_PATTERN
from stages.core.variants import Step, rows_of_step
from stages.core.yaml_files import convert, read_yaml

Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(ge=0)]
Overrides = dict[str, dict[str, Any]]
Problem = tuple[str, str]  # a key path, and what is wrong there


class Columns(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The names of a set's columns. `label` holds a number, for models with one label; `classes` holds which labels
    apply, for models with several: one or a list, by index or by name."""

    query: str
    passage: str
    label: str | None = None
    classes: str | None = None


class DataSet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A local file (`path`) or a data set of the Hub (`dataset` and what follows). `relevant_from` is for its own
    labels, where they are not on the scale of `data.relevant_from`."""

    path: str | None = None
    dataset: str | None = None
    revision: str | None = None
    config: str | None = None
    split: str | None = None
    splits: tuple[str, ...] = ()
    layout: Literal["pairs", "nanobeir"] = "pairs"
    columns: Columns | None = None
    rows: Positive | None = None
    relevant_from: float | None = None


class DataParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which sets there are, and which are used where an entry names no other."""

    evaluation: str
    calibration: str
    relevant_from: float
    sets: dict[str, DataSet]


class RecipeParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Overrides of recipes for all models: by step, which DVC tracks, then by variant id."""

    export: Overrides
    optimize: Overrides
    quantize_onnx: Overrides
    quantize_openvino: Overrides

    def of_step(self, step: Step) -> Overrides:
        """The overrides of one step."""
        found: Overrides = getattr(self, step)
        return found


class CalibrationParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The pairs that static int8 variants are calibrated on."""

    rows: Positive
    max_length: Positive


class FallbackParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an int8 variant that misses its thresholds may cost: fallback recipes per variant, recipes times millions of
    parameters, pairs each is judged on."""

    attempts: Annotated[int, Meta(ge=0)]
    work: Positive
    rows: Positive

    def attempts_for(self, parameters: int) -> int:
        """Fallback recipes for a variant of a model of that size: fewer for a larger one, and one at least."""
        return min(self.attempts, max(1, int(self.work * 1e6 / max(parameters, 1))))


class ParityParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How executions are compared with the reference. `probe_length` is the greatest length that is asked beside the
    evaluation set, `probe_work` what lengths beyond 64 may cost: their tokens times millions of parameters."""

    rows: Positive
    batch_size: Positive
    top_k: Positive
    probe_length: Positive
    probe_work: Positive
    golden_pairs: Annotated[int, Meta(ge=1, le=32)]

    def probe_tokens(self, parameters: int) -> int:
        """The most tokens in texts longer than 64 for a model of that size."""
        return int(self.probe_work * 1e6 / max(parameters, 1))


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
    """The preset in use, and all presets. `tune_seconds` is how long to look for an execution's best batches."""

    preset: str
    threads: Positive | None
    max_minutes: Annotated[float, Meta(gt=0)]
    tune_seconds: Seconds
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


class SigningParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who signs what is published: a private key; a key with its certificate; or a Sigstore identity, without a key.

    `password_variable` names the environment variable with the key's password. `chain` are the certificates from the
    issuer's up to the root. `identity` and `issuer` are those that the signature must then have.
    """

    key: str | None = None
    password_variable: str | None = None
    certificate: str | None = None
    chain: tuple[str, ...] = ()
    identity: str | None = None
    issuer: str | None = None

    def __str__(self) -> str:
        return self.identity or self.certificate or self.key or "nobody"


class PublishParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where published models go, and what is checked there. `install` is the address of Artificer itself, for cards.
    `proof_set` says which evaluation pairs a package carries: all, the first ones, or the golden samples alone."""

    target: Literal["folder", "hub"]
    folder: str
    namespace: Annotated[str, Meta(pattern=NAMESPACE_PATTERN)]
    install: Annotated[str, Meta(pattern=PIP_ADDRESS_PATTERN)] | None = None
    read_back: Literal["uploaded", "all", "hashes"]
    index: IndexParams | None
    signing: SigningParams | None = None
    proof_set: Literal["all", "golden"] | Positive = "all"


class ClassThresholds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one class of precision is judged against; null means that a metric is recorded and not judged."""

    score_max_abs: float | None
    score_mean_abs: float | None
    spearman: float | None
    top_k_overlap: float | None
    quality_ratio: float | None
    length_score_max_abs: float | Literal["score_max_abs"] | None = "score_max_abs"
    process_score_max_abs: float | Literal["score_max_abs"] | None = "score_max_abs"

    def by_name(self, *, with_lengths: bool = True) -> Metrics:
        """As the manifest has them: at any length, and between two processes, scores may differ as much as at all
        (`score_max_abs`), unless params.yaml says otherwise. `with_lengths` False leaves these two out."""
        found: Metrics = {}
        for name, limit in msgspec.structs.asdict(self).items():
            if name not in _OF_LENGTHS or with_lengths:
                found[name] = self.score_max_abs if limit == "score_max_abs" else limit
        return found


_OF_LENGTHS = ("length_score_max_abs", "process_score_max_abs")


class BuildParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """params.yaml as a whole."""

    data: DataParams
    recipes: RecipeParams
    calibration: CalibrationParams
    fallback: FallbackParams
    parity: ParityParams
    thresholds: dict[PrecisionClass, ClassThresholds]
    benchmark: BenchmarkParams
    hub: HubParams
    publish: PublishParams


def load_params() -> BuildParams:
    """The checked file. Raises RegistryError with the key path of every mistake, one per line."""
    params = convert(read_yaml(paths.PARAMS), BuildParams, paths.PARAMS, "")
    found = [f"{paths.PARAMS}: {where}: {problem}." for where, problem in _contradictions(params)]
    if found:
        raise RegistryError("\n".join(found))
    return params


def _contradictions(params: BuildParams) -> Iterator[Problem]:
    """Check what types cannot express."""
    for step in get_args(Step):
        known = [row.id for row in rows_of_step(step)]
        for variant_id in params.recipes.of_step(step):
            if variant_id not in known:
                yield f"recipes.{step}.{variant_id}", f"unknown variant of this step; known: {', '.join(known)}"
    for precision_class in get_args(PrecisionClass):
        if precision_class not in params.thresholds:
            yield "thresholds", f"missing key `{precision_class}`"
    for precision_class, thresholds in params.thresholds.items():
        for name, share in thresholds.by_name().items():
            if share is not None and not 0 <= share <= 1:
                where = f"thresholds.{precision_class}.{name}"
                yield where, f"expected a number from 0 to 1, or null, found {share}"
    yield from _missing_set(params.data, params.data.evaluation, "data.evaluation")
    yield from _missing_set(params.data, params.data.calibration, "data.calibration")
    for name, data_set in params.data.sets.items():
        problem = _set_problem(f"data.sets.{name}", data_set)
        if problem:
            yield problem
    benchmark = params.benchmark
    if benchmark.preset not in benchmark.presets:
        yield "benchmark.preset", f"no {benchmark.preset!r}; known: {', '.join(benchmark.presets)}"
    for preset_name, preset in benchmark.presets.items():
        where = f"benchmark.presets.{preset_name}"
        if not (preset.batch_sizes and preset.workloads):
            yield where, "expected batch_sizes and workloads"
        for name, workload in preset.workloads.items():
            yield from _missing_set(params.data, workload.set, f"{where}.workloads.{name}.set")
    index = params.publish.index
    if index is not None and bool(index.folder) == bool(index.repo):
        yield "publish.index", "expected `folder` or `repo`"
    if params.publish.signing is not None:
        yield from _signing_problems(params.publish.signing)


def _signing_problems(signing: SigningParams) -> Iterator[Problem]:
    where = "publish.signing"
    if bool(signing.key) == bool(signing.identity):
        yield where, "expected one of `key` and `identity`"
    if bool(signing.identity) != bool(signing.issuer):
        yield where, "expected `identity` and `issuer` together"
    if signing.identity and (signing.certificate or signing.chain or signing.password_variable):
        yield where, "`certificate`, `chain` and `password_variable` belong to a key"
    if signing.chain and not signing.certificate:
        yield f"{where}.chain", "expected a `certificate` that it belongs to"
    if signing.certificate and signing.password_variable:
        yield f"{where}.password_variable", "the key of a certificate cannot have a password"


def _set_problem(where: str, data_set: DataSet) -> Problem | None:
    """The first thing wrong with a set: what follows depends on it."""
    if bool(data_set.path) == bool(data_set.dataset):
        return where, "expected one of `path` and `dataset`"
    if data_set.dataset and not data_set.revision:
        return f"{where}.revision", "expected a commit or branch of the data set"
    if data_set.dataset and data_set.layout == "nanobeir":
        return None if data_set.splits else (f"{where}.splits", "expected the names of NanoBEIR's splits")
    if data_set.dataset and not data_set.split:
        return f"{where}.split", "expected the split to read"
    if data_set.columns is None:
        return f"{where}.columns", "expected `query` and `passage`"
    if data_set.columns.label and data_set.columns.classes:
        return f"{where}.columns", "expected one of `label` and `classes`"
    return None


def _missing_set(data: DataParams, name: str, where: str) -> Iterator[Problem]:
    if name not in data.sets:
        yield where, f"no set {name!r}; known: {', '.join(data.sets)}"
