"""The picture: speed against quality, both relative to torch float32. The same inputs give the same bytes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from artificer.manifest import Manifest
from stages.packaging.summary import benchmark_of, lines

CARD_PLOT = "speed-quality.png"
COLOURS = {"torch": "#7f7f7f", "onnx": "#1f77b4", "openvino": "#d95f02"}
OTHER_COLOUR = "#117733"  # of a backend without a colour of its own
MARKERS = "osD^vP*X"
LABEL_POINTS = 7  # the font's size
LABEL_WIDTH = 0.63  # of a character, as a share of that
LADDER = 32  # steps, half of them up and half down
MOST_NAMED = 20  # of more models the plot shows where they lie, without names


class Point(NamedTuple):
    """One candidate in the plot's units."""

    name: str
    speed: float
    quality: float
    passed: bool
    runtime: str


def speed_against_quality(manifests: Sequence[Manifest], host: str, *targets: Path) -> None:
    """Write the plot to each target (.png or .svg): a point per variant, a marker per model, a colour per runtime. Of
    more than `MOST_NAMED` models the points alone."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "artificer"
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
    labels: list[Point] = []
    drawn: list[Point] = []
    is_named = len(manifests) <= MOST_NAMED
    for manifest, marker in zip(manifests, MARKERS * len(manifests), strict=False):
        points = _points(manifest, host)
        drawn += points
        if not is_named:
            continue
        for point in points:
            colour = COLOURS.get(point.runtime, OTHER_COLOUR)
            filled = colour if point.passed else "none"
            axes.scatter(point.speed, point.quality, marker=marker, facecolor=filled, edgecolor=colour, zorder=3)
        shown = together(points if len(manifests) == 1 else fastest_at_each_quality(points))
        prefix = "" if len(manifests) == 1 else f"{manifest.slug}: "
        labels += [point._replace(name=prefix + point.name) for point in shown]
    if not is_named:
        _draw_cloud(axes, drawn)
    axes.axhline(100, color="#bbbbbb", linewidth=0.8, zorder=1)
    axes.axvline(1, color="#bbbbbb", linewidth=0.8, zorder=1)
    axes.margins(x=0.12)
    low, high = axes.get_ylim()
    # Below a percent, differences are noise and should look like it.
    margin = max(high - low, 1.0) * 0.35
    axes.set_ylim(min(low, 100.0) - margin, max(high, 100.0) + margin)
    axes.set_xlabel("speed, times torch float32 (geometric mean over workloads)")
    axes.set_ylabel("quality, % of torch float32")
    names = (
        ", ".join(manifest.slug for manifest in manifests[: len(MARKERS)]) if is_named else f"{len(manifests)} models"
    )
    axes.set_title(f"{names}   (hollow: failed)", fontsize=9)
    figure.draw_without_rendering()  # only then is it known where a point lies

    def places(points: Sequence[Point]) -> list[tuple[float, ...]]:
        inches = [axes.transData.transform((point.speed, point.quality)) / figure.dpi for point in points]
        return [tuple(72 * place) for place in inches]

    offsets = label_offsets(places(labels), [len(point.name) for point in labels], places(drawn))
    for point, offset in zip(labels, offsets, strict=True):
        axes.annotate(
            point.name,
            (point.speed, point.quality),
            xytext=(0, offset),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=LABEL_POINTS,
            arrowprops={"arrowstyle": "-", "color": "#bbbbbb", "linewidth": 0.6},
        )
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Without these, the files would carry the date and the library's version.
        metadata = {"Date": None, "Creator": None} if target.suffix == ".svg" else {"Software": None}
        figure.savefig(target, dpi=120, metadata=metadata)
    plt.close(figure)


def _points(manifest: Manifest, host: str) -> list[Point]:
    return [
        Point(
            name=line.id,
            speed=line.speedup,
            quality=100 * line.quality_ratio,
            passed=line.status in ("passed", "reference"),
            runtime=line.runtime,
        )
        for line in lines(manifest, benchmark_of(manifest, host))
        if line.speedup is not None and line.quality_ratio is not None
    ]


def _draw_cloud(axes: Any, points: Sequence[Point]) -> None:
    """All points of a kind at once, as pixels in an SVG too: each by itself takes a minute at a thousand models."""
    for runtime, passed in sorted({(point.runtime, point.passed) for point in points}):
        found = [(point.speed, point.quality) for point in points if (point.runtime, point.passed) == (runtime, passed)]
        colour = COLOURS.get(runtime, OTHER_COLOUR)
        axes.scatter(
            *zip(*found, strict=True), s=9, alpha=0.6, facecolor=colour if passed else "none", edgecolor=colour,
            linewidth=0.6, rasterized=True, zorder=3,
        )  # fmt: skip


def together(points: Sequence[Point]) -> list[Point]:
    """One point for those that lie on each other, such as one graph under several names, with all their names."""
    found: dict[tuple[float, float, bool, str], list[str]] = {}
    for point in points:
        found.setdefault(point[1:], []).append(point.name)
    merged = []
    for place, (first, *others) in found.items():
        family = first.rpartition("-")[0] + "-"
        merged.append(Point(", ".join([first, *(name.removeprefix(family) for name in others)]), *place))
    return merged


def label_offsets(
    places: Sequence[tuple[float, ...]], lengths: Sequence[int], points: Sequence[tuple[float, ...]]
) -> list[float]:
    """How far above its place each label of so many characters goes so that none covers another label or one of the
    points: the nearest of a ladder of steps up and down that is free, and the last where none is. All in typographic
    points, from left to right."""
    line = LABEL_POINTS + 2.0
    taken = [(x - 3, y - 3, x + 3, y + 3) for x, y in points]
    offsets = [0.0] * len(places)
    for i in sorted(range(len(places)), key=lambda i: places[i]):
        x, y = places[i]
        half = LABEL_WIDTH * LABEL_POINTS * lengths[i] / 2 + 2
        for step in range(1, LADDER + 1):
            offsets[i] = (line + 3.0) * ((step + 1) // 2) * (1 if step % 2 else -1)
            middle = y + offsets[i]
            box = (x - half, middle - line / 2, x + half, middle + line / 2)
            if not any(box[0] < t[2] and t[0] < box[2] and box[1] < t[3] and t[1] < box[3] for t in taken):
                break
        taken.append(box)
    return offsets


def fastest_at_each_quality(points: Sequence[Point]) -> list[Point]:
    """The passed points that no other beats in both speed and quality."""
    passed = [point for point in points if point.passed]
    return [p for p in passed if not any(q.speed > p.speed and q.quality >= p.quality for q in passed)]
