"""Figures as people read them: the same in the pages and, by the same rules, in assets/common.js."""

from collections.abc import Sequence

METRICS = {
    "score_max_abs": "Max score difference",
    "score_mean_abs": "Mean score difference",
    "output_max_abs": "Max logit difference",
    "output_mean_abs": "Mean logit difference",
    "batch_score_max_abs": "Score movement with the batch",
    "length_score_max_abs": "Max score difference at any length",
    "process_score_max_abs": "Score movement between processes",
    "spearman": "Spearman",
    "kendall": "Kendall",
    "top_k_overlap": "Top-k overlap",
    "quality_ratio": "Quality, ratio to torch",
}
NONE = "–"
MOST_RANGES = 6  # of lengths, in one line


def metric(name: str) -> str:
    """A metric's name in words."""
    return METRICS.get(name, name.replace("_", " "))


def times(value: float | None) -> str:
    """A speed over torch float32."""
    return NONE if value is None else f"{value:.2f}×"


def percent(value: float | None) -> str:
    """A ratio as a percentage."""
    return NONE if value is None else f"{100 * value:.2f}%"


def small(value: float | None) -> str:
    """A difference: two digits and an exponent."""
    if value is None:
        return NONE
    digits, _, exponent = f"{value:.1e}".partition("e")
    return "0" if value == 0 else f"{digits}e{int(exponent)}"


def measured(name: str, value: float | None) -> str:
    """A figure of a proof, by the kind of its metric."""
    if value is None:
        return NONE
    return small(value) if name.endswith("_abs") else f"{value:.5f}"


def limit(name: str, value: float) -> str:
    """A threshold with its direction."""
    return f"≤ {small(value)}" if name.endswith("_abs") else f"≥ {value:g}"


def size(count: float | None) -> str:
    """Bytes in decimal units."""
    if count is None:
        return NONE
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.2f} GB"


def seconds(value: float | None) -> str:
    """Seconds with two decimals."""
    return NONE if value is None else f"{value:.2f} s"


def lengths(ranges: Sequence[tuple[int, int]]) -> str:
    """`29–32, 61 tokens`; of many ranges the first ones. Empty for none."""
    shown = [f"{first}" if first == last else f"{first}–{last}" for first, last in ranges[:MOST_RANGES]]
    more = len(ranges) - len(shown)
    shown += [f"{more} more range{'s' if more > 1 else ''} of"] * (more > 0)
    return f"{', '.join(shown)} tokens" if shown else ""


def short(digest: str) -> str:
    """The start of a hash or a commit."""
    scheme, _, digits = digest.rpartition(":")
    return (f"{scheme}:" if scheme else "") + digits[:12]
