"""What the pages show: plain values, made from a manifest by `stages.site.view_of_manifest` and by nothing else.

Templates and data files read these alone, so that another layout of the manifest changes that one module.
"""

from typing import Any, Literal

from msgspec import Struct

Verdict = Literal["passed", "failed", "unsupported", "unproven"]
"""What a manifest says, and `unproven`: no record of this host's class, where scores depend on the CPU."""


class HostView(Struct, frozen=True, kw_only=True):
    """A host class that speeds were measured on. `isa_class` is the CPU's, `gpu` the class of its GPU or empty."""

    name: str
    cpu: str
    architecture: str
    isa_class: str
    isa: tuple[str, ...]
    gpu: str
    threads: int
    preset: str
    rounds: int
    busy_percent: float | None


class Check(Struct, frozen=True, kw_only=True):
    """One figure of a proof. `limit` is None for a figure that is not judged; less is better where `is_distance`."""

    name: str
    measured: float | None
    limit: float | None
    is_distance: bool
    is_missed: bool


class Proof(Struct, frozen=True, kw_only=True):
    """What was measured of an execution on one class of CPU or GPU, and the verdict. `faulty` names the lengths of
    texts whose scores were wrong, or is empty."""

    machine_class: str
    runtime_version: str
    faulty: str
    verdict: Verdict
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]

    def figure(self, name: str) -> float | None:
        """The measured value of that name, or None."""
        return next((check.measured for check in self.checks if check.name == name), None)


class Timing(Struct, frozen=True, kw_only=True):
    """One workload at one batch size: inputs per second, and milliseconds of a call. `speedup` is the ratio to
    torch float32 in the same rounds. It is None for new lengths, which have no rounds."""

    workload: str
    batch_size: int
    inputs_per_second: float
    p50_ms: float
    p95_ms: float
    speedup: float | None


class OnHost(Struct, frozen=True, kw_only=True):
    """An execution on one host. `speedup` is over torch float32 in the same run, None where it was not timed there.
    `is_fit`: the host has the instructions that the variant asks for. `borrowed`: the class whose record stands in for
    this host's, or empty. `faulty` names the lengths of texts whose scores were wrong; `tuning` says how batches were
    formed when it was timed."""

    verdict: Verdict
    reasons: tuple[str, ...]
    faulty: str
    tuning: str
    score_max_abs: float | None
    spearman: float | None
    is_fit: bool
    borrowed: str
    speedup: float | None
    load_seconds: float | None
    peak_bytes: int | None
    timings: tuple[Timing, ...]


class Execution(Struct, frozen=True, kw_only=True):
    """A variant as it runs: on a device, in a precision, with settings of the runtime. `label` says all three, `plain`
    leaves out the settings. `precision` is the class that it is judged by. `is_default`: the runtime computes so when
    it is told nothing. `hosts` has an entry for each host of the model; `elsewhere` is for any other host."""

    variant: str
    label: str
    plain: str
    settings: tuple[str, ...]
    runtime: str
    precision: str
    is_default: bool
    quality: float | None
    proofs: tuple[Proof, ...]
    hosts: dict[str, OnHost]
    elsewhere: OnHost

    @property
    def key(self) -> str:
        """What tells the executions of a model apart."""
        return f"{self.variant} {self.label}"

    def on(self, host: str) -> OnHost:
        """What holds on a host, measured there or not."""
        return self.hosts.get(host, self.elsewhere)


class FileView(Struct, frozen=True, kw_only=True):
    """A file with its hash."""

    path: str
    size: int
    sha256: str


class Attempted(Struct, frozen=True, kw_only=True):
    """A recipe that was tried for a variant, and what it missed."""

    recipe: str
    missed: tuple[str, ...]
    is_kept: bool


class VariantView(Struct, frozen=True, kw_only=True):
    """What was built, and its executions: at least one, without a proof where it could not be measured."""

    id: str
    runtime: str
    precision: str
    status: Verdict
    reason: str
    notes: tuple[str, ...]
    requires: tuple[str, ...]
    size: int
    digest: str
    opset: int | None
    quality_metric: str
    quality_value: float | None
    recipe: dict[str, Any]
    tools: dict[str, str]
    files: tuple[FileView, ...]
    attempts: tuple[Attempted, ...]
    executions: tuple[Execution, ...]


class TorchRow(Struct, frozen=True, kw_only=True):
    """torch itself in one dtype, by host: its speed over torch float32."""

    id: str
    hosts: dict[str, float]
    load_seconds: dict[str, float]
    peak_bytes: dict[str, int]


class DataView(Struct, frozen=True, kw_only=True):
    """A data set: its name, its rows, and the hash of its rows."""

    name: str
    rows: int
    sha256: str


class SignatureView(Struct, frozen=True, kw_only=True):
    """Who signs what is published, and the commands that check it."""

    signer: str
    commands: tuple[str, ...]


class ModelView(Struct, frozen=True, kw_only=True):
    """A model's page."""

    slug: str
    name: str
    task: str
    architecture: str
    labels: tuple[str, ...]
    result: str
    max_length: int
    prompt: str
    license: str
    source_kind: str
    source: str
    revision: str
    source_files: tuple[FileView, ...]
    reference: str
    tools: tuple[tuple[str, str], ...]
    evaluation: DataView
    calibration: DataView
    golden: int
    documents: tuple[FileView, ...]
    schema_version: str
    torch: tuple[TorchRow, ...]
    hosts: tuple[HostView, ...]
    variants: tuple[VariantView, ...]

    @property
    def executions(self) -> tuple[Execution, ...]:
        """All of them, each below its variant."""
        return tuple(execution for variant in self.variants for execution in variant.executions)

    @property
    def passed(self) -> int:
        """How many variants were published."""
        return sum(variant.status == "passed" for variant in self.variants)

    def fastest(self, host: str) -> Execution | None:
        """The fastest execution that passed on a host which has its instructions."""
        found = [
            (on.speedup, execution.key, execution)
            for execution in self.executions
            if (on := execution.hosts.get(host)) is not None
            if on.verdict == "passed" and on.is_fit and on.speedup is not None
        ]
        return max(found, key=lambda each: each[:2], default=(0.0, "", None))[2]

    def risky_defaults(self, host: str) -> tuple[tuple[Execution, tuple[Execution, ...]], ...]:
        """Variants that pass where they are told how to compute and fail where they are not: the execution that fails,
        and those that pass."""
        found = []
        for variant in self.variants:
            passed = tuple(each for each in variant.executions if each.on(host).verdict == "passed")
            failed = [each for each in variant.executions if each.is_default and each.on(host).verdict == "failed"]
            found += [(default, passed) for default in failed if passed]
        return tuple(found)
