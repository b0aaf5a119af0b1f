"""Every path of the pipeline, from a slug and a step. dvc.yaml repeats them for DVC; a test holds the two together.

All are relative to the repository's root, which is where DVC runs every command.
"""

from pathlib import Path

from stages.core.variants import VARIANTS, Step, VariantRow

REGISTRY = Path("registry/models.yaml")
CATALOG = Path("registry/catalog.yaml")
MODELS_SCHEMA = Path("registry/models.schema.json")
MANIFEST_SCHEMA = Path("docs/manifest-v2.schema.json")
INDEX_SCHEMA = Path("docs/index-v1.schema.json")
PIPELINE_PAGE = Path("docs/pipeline.md")
REFERENCE = Path("docs/reference")
PARAMS = Path("params.yaml")
DATA_LOCK = Path("registry/locks/data-sets.json")
DEMO = Path("registry/demo")
OWN_DATA = Path("registry/data")
DATA_FOLDERS = (DEMO, OWN_DATA)
HOST = Path("artifacts/host.json")
PACKAGES = Path("artifacts/packages")
PACKED_METRICS = "metrics.json"  # in a package; not published
REPORTS = Path("reports")
LEADERBOARD = REPORTS / "leaderboard.md"
LEADERBOARD_CSV = REPORTS / "leaderboard.csv"
PLOT_STEM = REPORTS / "speed_quality"
SITE = REPORTS / "site"


def lock(slug: str) -> Path:
    """The pin of a source: commit, and size and sha256 of every file."""
    return Path("registry/locks", f"{slug}.json")


def receipt(slug: str) -> Path:
    """What was published, and where."""
    return Path("registry/receipts", f"{slug}.json")


def signature(slug: str) -> Path:
    """The signature of what was published last."""
    return Path("artifacts/signatures", slug, "model.sig")


def benchmarks(slug: str) -> Path:
    """The folder of measured figures, one file per host class."""
    return Path("registry/benchmarks", slug)


def parity_records(slug: str) -> Path:
    """The folder of parity figures, one file per host class."""
    return Path("registry/parity", slug)


def metrics(slug: str) -> Path:
    """The key figures that `dvc metrics show` prints: `pack` writes them, and `report` again from the packages, since
    DVC may have restored a package without running `pack`."""
    return REPORTS / "metrics" / f"{slug}.json"


def resources(slug: str, stage: str) -> Path:
    """Seconds and peak memory of one stage, which `dvc metrics show` prints as well."""
    return REPORTS / "resources" / slug / f"{stage}.json"


def model(slug: str) -> Path:
    """Everything that is built for one model."""
    return Path("artifacts/models", slug)


def spec(slug: str) -> Path:
    """The resolved entry: what every later stage reads instead of the registry."""
    return model(slug) / "spec.json"


def recipes(slug: str, name: Step) -> Path:
    """The entry's own recipes of one step, apart from the spec so that a change re-runs that step alone."""
    return model(slug) / "recipes" / f"{name}.json"


def source(slug: str) -> Path:
    """The pinned files, as they came."""
    return model(slug) / "source"


def published(slug: str) -> Path:
    """What is published of the checkpoint, and the record of it. Every later stage reads the tokenizer here."""
    return model(slug) / "published"


def published_files(slug: str) -> Path:
    """The files themselves, below the names that they have in the published folder."""
    return published(slug) / "files"


def published_record(slug: str) -> Path:
    """How the tokenizer is used, and which files are not as they came."""
    return published(slug) / "published.json"


def evaluation(slug: str) -> Path:
    """Normalised labelled pairs."""
    return model(slug) / "evaluation.jsonl"


def calibration(slug: str) -> Path:
    """Normalised calibration pairs."""
    return model(slug) / "calibration.jsonl"


def workloads(slug: str) -> Path:
    """The benchmark's texts."""
    return model(slug) / "workloads.json"


def reference(slug: str) -> Path:
    """The torch reference's logits."""
    return model(slug) / "reference.json"


def step(slug: str, name: Step) -> Path:
    """One stage's variants, each in a folder of its own."""
    return model(slug) / "variants" / name


def variant(slug: str, row: VariantRow) -> Path:
    """One variant: its graph, its sidecars, and variant.json."""
    return step(slug, row.step) / row.id


def variants(slug: str) -> dict[str, Path]:
    """All variants' folders by id, in table order, whether they were built or not."""
    return {row.id: variant(slug, row) for row in VARIANTS}


def fallback_costs(slug: str, backend: str) -> Path:
    """What fallback recipes of one runtime cost in speed on the building host. It lies outside of `variants`, because
    timings differ from run to run."""
    return model(slug) / f"fallback_{backend}.json"


def parity(slug: str) -> Path:
    """Each variant's differences from the reference."""
    return model(slug) / "parity.json"


def quality(slug: str) -> Path:
    """Each variant's quality on labelled pairs."""
    return model(slug) / "quality.json"


def benchmark(slug: str) -> Path:
    """This host's figures."""
    return model(slug) / "benchmark.json"


def package(slug: str) -> Path:
    """What goes beside the variants: the manifest, the model card, the plot."""
    return PACKAGES / slug
