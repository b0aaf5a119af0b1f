"""What a proof is made of: texts of many lengths, and what was measured of one execution, not judged yet."""

from collections.abc import Sequence

from msgspec import Struct

from artificer.manifest import Device, ExecutionPrecision, LengthRange, Metrics, Settings, execution_label


class LengthTexts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Pairs of texts, how many tokens each has, and the reference's outputs for it, shortest first."""

    texts: tuple[tuple[str, str], ...] = ()
    lengths: tuple[int, ...] = ()
    outputs: tuple[tuple[float, ...], ...] = ()

    def at(self, indices: Sequence[int]) -> "LengthTexts":
        """Those at these indices alone."""
        return LengthTexts(
            texts=tuple(self.texts[i] for i in indices),
            lengths=tuple(self.lengths[i] for i in indices),
            outputs=tuple(self.outputs[i] for i in indices),
        )


class Measurement(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A variant on a device, at an execution precision, with settings of its runtime. `default_precision` says that the
    runtime chooses this precision when it is not told one. On `cuda`, `isa_class` is the GPU's class. `faulty_lengths`
    are the token lengths at which scores were beyond the limit of their class."""

    runtime_version: str
    isa_class: str
    execution_precision: ExecutionPrecision
    default_precision: bool
    metrics: Metrics
    device: Device = "cpu"
    settings: Settings = {}
    faulty_lengths: tuple[LengthRange, ...] = ()

    def label(self, variant_id: str) -> str:
        """What the execution is called (`manifest.execution_label`)."""
        return execution_label(variant_id, self.device, self.execution_precision, self.settings)
