"""The picture: speed against quality, both relative to torch fp32. The same inputs give the same bytes."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from artificer.manifest import Manifest
from stages.summary import benchmark_of, lines

CARD_PLOT = "speed-quality.png"
COLOURS = {"torch": "#7f7f7f", "onnx": "#1f77b4", "openvino": "#d95f02"}
MARKERS = "osD^vP*X"


class Point(NamedTuple):
    """One candidate in the plot's units."""

    name: str
    speed: float
    quality: float
    passed: bool


def speed_against_quality(manifests: Sequence[Manifest], host: str, *targets: Path) -> None:
    """Write the plot to each target (.png or .svg): a point a variant, a marker a model, a colour a runtime."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "artificer"
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
    for manifest, marker in zip(manifests, MARKERS * len(manifests), strict=False):
        points = [
            Point(line.id, line.speedup, 100 * line.quality_ratio, line.status in ("passed", "reference"))
            for line in lines(manifest, benchmark_of(manifest, host))
            if line.speedup is not None and line.quality_ratio is not None
        ]
        for point in points:
            colour = COLOURS[point.name.partition("-")[0]]
            filled = colour if point.passed else "none"
            axes.scatter(point.speed, point.quality, marker=marker, facecolor=filled, edgecolor=colour, zorder=3)
        shown = points if len(manifests) == 1 else fastest_at_each_quality(points)
        for i, point in enumerate(sorted(shown, key=lambda point: (point.speed, point.name))):
            # Points crowd along 100 %: labels climb and sink in turn, each tied to its point.
            height = (14 + 13 * (i // 2 % 5)) * (1 if i % 2 == 0 else -1)
            name = point.name if len(manifests) == 1 else f"{manifest.slug}: {point.name}"
            axes.annotate(
                name,
                (point.speed, point.quality),
                xytext=(0, height),
                textcoords="offset points",
                ha="center",
                va="center",
                fontsize=7,
                arrowprops={"arrowstyle": "-", "color": "#bbbbbb", "linewidth": 0.6},
            )
    axes.axhline(100, color="#bbbbbb", linewidth=0.8)
    axes.axvline(1, color="#bbbbbb", linewidth=0.8)
    axes.margins(x=0.12)
    low, high = axes.get_ylim()
    # Below a percent, differences are noise and should look like it.
    margin = max(high - low, 1.0) * 0.35
    axes.set_ylim(min(low, 100.0) - margin, max(high, 100.0) + margin)
    axes.set_xlabel("speed, times torch fp32 (geometric mean over workloads)")
    axes.set_ylabel("quality, % of torch fp32")
    names = ", ".join(manifest.slug for manifest in manifests[: len(MARKERS)])
    axes.set_title(f"{names}   (hollow: failed its gate)", fontsize=9)
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Without these, the files would carry the date and the library's version.
        metadata = {"Date": None, "Creator": None} if target.suffix == ".svg" else {"Software": None}
        figure.savefig(target, dpi=120, metadata=metadata)
    plt.close(figure)


def fastest_at_each_quality(points: Sequence[Point]) -> list[Point]:
    """The passed points that no other beats in both speed and quality."""
    passed = [point for point in points if point.passed]
    return [p for p in passed if not any(q.speed > p.speed and q.quality >= p.quality for q in passed)]
