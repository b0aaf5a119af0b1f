"""quality.json: how good the reference and each variant are on labelled pairs."""

import msgspec
from msgspec import Struct

from artificer.manifest import Quality, canonical_json
from stages.core import files, paths


class QualityReport(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The reference's quality, and each variant's: that of its first measurement, and in `executions` those of all.
    Without a reference nothing was measured, and `reason` says why."""

    reference: Quality | None
    variants: dict[str, Quality]
    reason: str | None = None
    executions: dict[str, tuple[Quality, ...]] = {}


def write_quality(slug: str, found: QualityReport) -> None:
    """Replace quality.json."""
    files.write_file(paths.quality(slug), canonical_json(found))


def load_quality(slug: str) -> QualityReport:
    """What stage `evaluate` wrote."""
    return msgspec.json.decode(paths.quality(slug).read_bytes(), type=QualityReport)
