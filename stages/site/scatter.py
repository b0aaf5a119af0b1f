"""Speed against quality as SVG: places in percent and sizes in pixels, so that text keeps its size at any width."""

from collections.abc import Iterator, Sequence
from math import ceil, floor, hypot, log10

from msgspec import Struct

from stages.site.view import Execution, ModelView

WIDTH, HEIGHT = 1000.0, 360.0  # the width is the one that labels are placed for; the page decides the real one
LEFT, RIGHT, TOP, BOTTOM = 0.0, 100.0, 7.0, 86.0  # the axes, in percent
CHARACTER, LINE, SIDE = 6.4, 15.0, 12.0  # of a label, in pixels: its letters, its height, its distance beside a point
REACH = 15.0  # points nearer than that share a label
LEAST_RANGE = 1.0  # percent of quality: below it, differences are noise and should look like it
TICKS = 7


class Point(Struct, frozen=True, kw_only=True):
    """An execution, or torch. `x` and `y` are percent of the picture."""

    name: str
    text: str
    target: str
    runtime: str
    precision: str
    is_hollow: bool
    x: float
    y: float


class Label(Struct, frozen=True, kw_only=True):
    """A name beside a point or a cluster, `dx` and `dy` pixels from it. `anchor` is SVG's. `is_key`: it stays on a
    narrow screen."""

    text: str
    x: float
    y: float
    dx: float
    dy: float
    anchor: str
    is_key: bool


class Tick(Struct, frozen=True, kw_only=True):
    """A line of the grid: its place in percent, and its text. `is_baseline`: torch's own value."""

    at: float
    text: str
    is_baseline: bool


class Scatter(Struct, frozen=True, kw_only=True):
    """What the template draws."""

    points: tuple[Point, ...]
    labels: tuple[Label, ...]
    columns: tuple[Tick, ...]
    rows: tuple[Tick, ...]


class _Found(Struct, frozen=True, kw_only=True):
    name: str
    target: str
    runtime: str
    precision: str
    verdict: str
    speed: float
    quality: float
    is_key: bool


def scatter(model: ModelView, host: str) -> Scatter | None:
    """The picture of one host, or None where no execution has both a speed and a quality."""
    best = model.fastest(host)
    firsts = {id(variant.executions[0]) for variant in model.variants}
    found = [
        _Found(
            name=_name(execution, firsts),
            target=execution.variant,
            runtime=execution.runtime,
            precision=execution.precision,
            verdict=on.verdict,
            speed=on.speedup,
            quality=100 * execution.quality,
            is_key=execution is best,
        )
        for execution in model.executions
        if (on := execution.hosts[host]).speedup is not None and execution.quality is not None
    ]
    if not found:
        return None
    torch = [row for row in model.torch if host in row.hosts and row.id == "torch-fp32"]
    found += [
        _Found(
            name=row.id, target="", runtime="torch", precision="fp32", verdict="reference",
            speed=row.hosts[host], quality=100.0, is_key=True,
        )
        for row in torch
    ]  # fmt: skip
    found.sort(key=lambda each: (each.speed, each.quality, each.name))
    columns = _axis([0.8, *(each.speed for each in found)], least=1.0)
    rows = _axis([100.0, *(each.quality for each in found)], least=LEAST_RANGE)
    points = [_point(each, columns, rows) for each in found]
    return Scatter(
        points=tuple(points),
        labels=tuple(_labels(points, {each.name for each in found if each.is_key})),
        columns=tuple(
            Tick(at=_place(value, columns, LEFT, RIGHT), text=f"{value:g}×", is_baseline=value == 1)
            for value in columns[2]
        ),
        rows=tuple(
            Tick(at=_place(value, rows, BOTTOM, TOP), text=f"{value:g}%", is_baseline=value == 100) for value in rows[2]
        ),
    )


def _name(execution: Execution, firsts: set[int]) -> str:
    """The variant's name for the execution that it is judged by, and what differs for its others."""
    if id(execution) in firsts:
        return execution.variant
    return f"{execution.variant} {execution.label.removeprefix('CPU ')}"


def _point(found: _Found, columns: "_Axis", rows: "_Axis") -> Point:
    return Point(
        name=found.name,
        text=f"{found.speed:.2f}× torch, {found.quality:.2f}% quality, {found.verdict}",
        target=found.target,
        runtime=found.runtime,
        precision=found.precision,
        is_hollow=found.verdict not in ("passed", "reference"),
        x=_place(found.speed, columns, LEFT, RIGHT),
        y=_place(found.quality, rows, BOTTOM, TOP),
    )


_Axis = tuple[float, float, list[float]]


def _axis(values: Sequence[float], least: float) -> _Axis:
    """From, to, and round values between: at most `TICKS` steps of 1, 2, 2.5 or 5 times a power of ten."""
    low, high = min(values), max(values)
    middle, span = (low + high) / 2, max(high - low, least)
    low, high = middle - 0.56 * span, middle + 0.56 * span
    power = 10.0 ** floor(log10(span / TICKS))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if span / (factor * power) <= TICKS)
    first, last = ceil(low / step), floor(high / step)
    return low, high, [round(i * step, 6) for i in range(first, last + 1)]


def _place(value: float, axis: _Axis, start: float, end: float) -> float:
    low, high, _ = axis
    return round(start + (value - low) / (high - low) * (end - start), 2)


def _labels(points: Sequence[Point], keys: set[str]) -> list[Label]:
    """One label for points that nearly touch, `first +n`; each at the nearest place around it that is free."""
    clusters: list[list[Point]] = []
    for point in points:
        near = next((c for c in clusters if any(_distance(point, each) < REACH for each in c)), None)
        if near is None:
            clusters.append([point])
        else:
            near.append(point)
    taken = [(_px(p)[0] - 7, _px(p)[1] - 7, _px(p)[0] + 7, _px(p)[1] + 7) for p in points]
    labels = []
    for cluster in sorted(clusters, key=lambda c: (not any(p.name in keys for p in c), c[0].x)):
        named = sorted(cluster, key=lambda p: (p.name not in keys, p.is_hollow, -p.x))
        text = named[0].name + (f" +{len(cluster) - 1}" if len(cluster) > 1 else "")
        x = sum(p.x for p in cluster) / len(cluster)
        y = sum(p.y for p in cluster) / len(cluster)
        anchor, dx, dy, box = _free((x, y), text, taken)
        taken.append(box)
        is_key = any(p.name in keys for p in cluster)
        labels.append(Label(text=text, x=round(x, 2), y=round(y, 2), dx=dx, dy=dy, anchor=anchor, is_key=is_key))
    return sorted(labels, key=lambda label: (label.x, label.text))


Box = tuple[float, float, float, float]
Place = tuple[str, float, float, Box]
"""Anchor, distance right and down in pixels, and what is covered."""


def _free(place: tuple[float, float], text: str, taken: Sequence[Box]) -> Place:
    """Above, below, beside, and then further above and below; the first of all where none is free."""
    found = [_box(place, text, *way) for way in _ways(place[0])]
    return next((each for each in found if not _is_taken(each[3], taken)), found[0])


def _ways(x: float) -> Iterator[tuple[str, float, float]]:
    """Anchor and distance, the best first. Near an edge, a label reaches inwards."""
    anchor = "start" if x < 9 else "end" if x > 88 else "middle"
    for i in range(6):
        for sign in (-1, 1):
            yield anchor, 0.0, sign * (17.0 + LINE * i)
        if i == 0:
            yield "start", SIDE, 0.0
            yield "end", -SIDE, 0.0


def _box(place: tuple[float, float], text: str, anchor: str, dx: float, dy: float) -> Place:
    width = CHARACTER * len(text) + 8
    left = place[0] / 100 * WIDTH + dx - {"start": 0.0, "middle": width / 2, "end": width}[anchor]
    middle = place[1] / 100 * HEIGHT + dy
    return anchor, dx, dy, (left, middle - LINE / 2, left + width, middle + LINE / 2)


def _is_taken(box: Box, taken: Sequence[Box]) -> bool:
    is_outside = box[0] < 0 or box[2] > WIDTH or box[1] < 0 or box[3] > BOTTOM / 100 * HEIGHT
    return is_outside or any(box[0] < t[2] and t[0] < box[2] and box[1] < t[3] and t[1] < box[3] for t in taken)


def _px(point: Point) -> tuple[float, float]:
    return point.x / 100 * WIDTH, point.y / 100 * HEIGHT


def _distance(one: Point, other: Point) -> float:
    (ax, ay), (bx, by) = _px(one), _px(other)
    return hypot(ax - bx, ay - by)
