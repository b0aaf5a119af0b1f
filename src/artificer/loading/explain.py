"""Why a reranker is what it is, for people and for logs."""

from typing import Any

import msgspec


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What `Reranker.explain` returns; `print` it, or `to_dict` it into a log.

    `rejected` gives every reason per variant that was not admissible; `fallbacks` says what was tried before and why it
    was given up. `self_test` is the largest difference of a golden logit, null when it was not run.
    """

    model: str
    folder: str
    manifest_sha256: str
    source: str
    variant: str
    why: str
    alternatives: tuple[str, ...]
    rejected: dict[str, tuple[str, ...]]
    fallbacks: tuple[str, ...]
    runtime: str
    runtime_version: str
    execution_precision: str
    device: str
    parity: str
    result: str
    max_length: int
    threads: int
    threads_from: str
    host: str
    cpu: str
    isa: tuple[str, ...]
    files_hashed: int
    self_test: float | None
    artificer_version: str

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, strings and numbers."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    def __str__(self) -> str:
        lines = [
            f"{self.model}: {self.variant} on {self.runtime} {self.runtime_version} in {self.execution_precision}"
            + ("" if self.device == "cpu" else f" on {self.device}"),
            f"  why: {self.why}",
            f"  proof: {self.parity}",
            f"  then: {', '.join(self.alternatives) or 'nothing else is admissible'}",
            f"  threads: {self.threads} ({self.threads_from})",
            f"  host: {self.host} ({self.cpu}; {' '.join(self.isa)})",
            f"  result: {self.result}; texts are cut at {self.max_length} tokens",
            f"  source: {self.source}",
            f"  folder: {self.folder} (manifest sha256 {self.manifest_sha256})",
            f"  verified: {self.files_hashed} files hashed at this load, the rest by verification; self-test "
            + ("not run" if self.self_test is None else f"within {self.self_test:.2g} of torch's logits"),
        ]
        lines += [f"  gave up: {line}" for line in self.fallbacks]
        lines += [f"  rejected {key}: {'; '.join(reasons)}" for key, reasons in self.rejected.items()]
        return "\n".join(lines)
