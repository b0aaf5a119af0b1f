"""Comparing the release numbers of runtimes; enough of PEP 440 for them, without a dependency."""

import re


def release(version: str) -> tuple[int, ...]:
    """`"1.32.0rc1+cpu"` to `(1, 32, 0)`: the leading numbers, empty for none."""
    found = re.match(r"\s*v?(\d+(?:\.\d+)*)", version)
    return tuple(int(part[:9]) for part in found.group(1).split(".")) if found else ()


def at_least(installed: str, minimum: str) -> bool:
    """Whether `installed` is `minimum` or newer; missing parts count as zero, and no number at all as oldest."""
    have, want = release(installed), release(minimum)
    size = max(len(have), len(want))
    return have + (0,) * (size - len(have)) >= want + (0,) * (size - len(want))
