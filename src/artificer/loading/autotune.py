"""Measure the admissible variants on this machine, once, and store the result."""

import hashlib
import time
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec.structs import replace

from artificer.errors import IntegrityError, ManifestError
from artificer.inference.scoring import score_encoded
from artificer.loading.opening import Opener
from artificer.manifest import Host
from artificer.selection.admission import Execution
from artificer.selection.policy import Objective
from artificer.selection.select import Choice
from artificer.storage.atomic_write import write_whole

_ROUNDS = 3
_PASSAGE = "The quick brown fox jumps over the lazy dog while the river runs past the old mill. "


class Timings(msgspec.Struct, frozen=True):
    """Median seconds by label."""

    seconds: dict[str, float]


def autotuned(choice: Choice, host: Host, opener: Opener) -> Choice:
    """`choice` with its executions ordered by what was measured here; measures when the cache has no result.

    The key of a result holds the manifest, the host class with its runtimes' versions, and the objective. An execution
    that does not open counts as infinitely slow; an integrity error is raised.
    """
    objective, cache = opener.options.policy.objective, opener.options.cache
    if objective == "size" or len(choice.executions) < 2:
        return choice
    key = msgspec.json.encode([opener.location.manifest_sha256, msgspec.to_builtins(host), objective], order="sorted")
    place = cache / "timings" / f"{hashlib.sha256(key).hexdigest()[:32]}.json"
    names = {each.label for each in choice.executions}
    timings = _read(place)
    if timings is None or not names <= timings.seconds.keys():
        timings = measure(choice.executions, objective, opener)
        _write(place, timings)
    ordered = sorted(choice.executions, key=lambda each: timings.seconds[each.label])
    return replace(choice, executions=tuple(ordered), basis=f"best measured {objective} on this machine (autotune)")


def measure(executions: tuple[Execution, ...], objective: Objective, opener: Opener) -> Timings:
    """Open one execution after the other; one warm-up, then the median of a few rounds."""
    lengths = (1, 1, 2, 4) if objective == "latency" else (1, 2, 3, 4, 6, 8, 12, 16) * 2
    task, tokenizer = opener.task, opener.tokenizer
    *others, last = task.sample_inputs
    texts = [task.text(dict.fromkeys(others, _PASSAGE) | {last: _PASSAGE * count}) for count in lengths]
    encoded = tokenizer.encode(texts)
    batch_size = 1 if objective == "latency" else 32
    seconds: dict[str, float] = {}
    for execution in executions:
        try:
            session = opener.open(execution).session
        except (IntegrityError, ManifestError):
            raise
        except Exception:  # it is skipped, with its reason, when its turn comes
            seconds[execution.label] = 1e9
            continue
        rounds = []
        try:
            for _ in range(_ROUNDS + 1):
                start = time.perf_counter()
                score_encoded(session, tokenizer, encoded, collect=task.collect, batch_size=batch_size)
                rounds.append(time.perf_counter() - start)
        finally:
            session.close()
        seconds[execution.label] = sorted(rounds[1:])[_ROUNDS // 2]
    return Timings(seconds)


def _read(place: Path) -> Timings | None:
    try:
        return msgspec.json.decode(place.read_bytes(), type=Timings)
    except (OSError, msgspec.DecodeError):
        return None


def _write(place: Path, timings: Timings) -> None:
    """Best effort: without a place to write, the next load measures again."""
    with suppress(OSError):
        write_whole(place, msgspec.json.encode(timings))
