"""The picture: speed against quality, both relative to torch fp32. The same inputs give the same bytes."""

from collections.abc import Sequence
from pathlib import Path

from artificer.manifest import Benchmark, Manifest
from stages.summary import lines

CARD_PLOT = "speed-quality.png"
COLOURS = {"torch": "#7f7f7f", "onnx": "#1f77b4", "openvino": "#d95f02"}
MARKERS = "osD^vP*X"


def speed_against_quality(manifests: Sequence[Manifest], host: str, *targets: Path) -> None:
    """Write the plot to each target (.png or .svg): a point a variant, a marker a model, a colour a runtime."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "artificer"
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.8), layout="constrained")
    for manifest, marker in zip(manifests, MARKERS * len(manifests), strict=False):
        for line in lines(manifest, _benchmark(manifest, host)):
            if line.speedup is None or (line.quality_ratio is None and line.status != "reference"):
                continue
            quality = 100 * (line.quality_ratio if line.quality_ratio is not None else 1.0)
            colour = COLOURS[line.id.partition("-")[0]]
            filled = colour if line.status in ("passed", "reference") else "none"
            axes.scatter(line.speedup, quality, marker=marker, facecolor=filled, edgecolor=colour, zorder=3)
            axes.annotate(
                line.id, (line.speedup, quality), xytext=(4, 5), textcoords="offset points", fontsize=7, rotation=20
            )
    axes.axhline(100, color="#bbbbbb", linewidth=0.8)
    axes.axvline(1, color="#bbbbbb", linewidth=0.8)
    axes.set_xlabel("speed, times torch fp32 (geometric mean over workloads)")
    axes.set_ylabel("quality, % of torch fp32")
    axes.set_title(", ".join(m.slug for m in manifests[: len(MARKERS)]) + "   (hollow: failed its gate)", fontsize=9)
    axes.margins(0.12)
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Without these, the files would carry the date and the library's version.
        metadata = {"Date": None, "Creator": None} if target.suffix == ".svg" else {"Software": None}
        figure.savefig(target, dpi=120, metadata=metadata)
    plt.close(figure)


def _benchmark(manifest: Manifest, host: str) -> Benchmark | None:
    """This host's figures; another's when there are none."""
    own = [b for b in manifest.benchmarks if b.host.name == host]
    return next(iter([*own, *manifest.benchmarks]), None)
