"""The CPU's model and instruction sets, from the texts that the kernel and macOS show."""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from artificer.host.reading import slug

# Names of the kernel, of macOS (sysctl, lower case) and of numpy's table, to the names that the manifest uses.
_FEATURES = {
    "avx": "avx", "avx1.0": "avx", "avx2": "avx2", "avx2_0": "avx2", "fma": "fma", "fma3": "fma", "f16c": "f16c",
    "avx_vnni": "avx_vnni", "avx512_vnni": "avx512_vnni", "avx512vnni": "avx512_vnni",
    "avx512_bf16": "avx512_bf16", "avx512bf16": "avx512_bf16", "avx512_fp16": "avx512_fp16",
    "avx512fp16": "avx512_fp16", "amx_tile": "amx_tile", "amx_int8": "amx_int8", "amx_bf16": "amx_bf16",
    "amx_fp16": "amx_fp16",
    "asimd": "neon", "neon": "neon", "asimdhp": "fp16", "feat_fp16": "fp16", "asimddp": "dotprod",
    "feat_dotprod": "dotprod", "i8mm": "i8mm", "feat_i8mm": "i8mm", "bf16": "bf16", "feat_bf16": "bf16", "sve": "sve",
}  # fmt: skip
_OF_ARM = {"neon", "fp16", "dotprod", "i8mm", "bf16", "sve"}
_AVX512 = {"avx512f", "avx512bw", "avx512dq", "avx512vl"}
_ARM_PARTS = {
    ("0x41", "0xd0c"): "neoverse-n1", ("0x41", "0xd40"): "neoverse-v1", ("0x41", "0xd49"): "neoverse-n2",
    ("0x41", "0xd4f"): "neoverse-v2", ("0x41", "0xd08"): "cortex-a72", ("0x41", "0xd0b"): "cortex-a76",
}  # fmt: skip


def normal_architecture(machine: str) -> str:
    """`platform.machine()` in one spelling: x86_64 or arm64, else as it is, lower case."""
    name = machine.lower()
    return {"amd64": "x86_64", "x64": "x86_64", "aarch64": "arm64"}.get(name, name or "unknown")


def cpu_features(cpuinfo: str) -> set[str]:
    """The flags that every CPU of a /proc/cpuinfo has (`flags` on x86, `Features` on Arm), lower case."""
    lines = re.findall(r"^(?:flags|Features)[ \t]*:(.*)$", cpuinfo, re.MULTILINE)
    sets = [set(line.lower().split()) for line in lines]
    return set.intersection(*sets) if sets else set()


def cpu_model(cpuinfo: str) -> str:
    """The first CPU's model name in a /proc/cpuinfo; on Arm its implementer and part. Empty if it says neither."""
    fields: dict[str, str] = dict(re.findall(r"^([^:\n]*?)[ \t]*:[ \t]*(.*?)[ \t]*$", cpuinfo, re.MULTILINE))
    if name := fields.get("model name"):
        return name
    implementer, part = fields.get("CPU implementer", ""), fields.get("CPU part", "")
    if not (implementer and part):
        return ""
    return _ARM_PARTS.get((implementer, part), f"arm {implementer} {part}")


def sysctl_features(text: str) -> set[str]:
    """The features in the output of macOS's `sysctl machdep.cpu hw.optional`, lower case."""
    names = {word.lower() for line in re.findall(r"^machdep\.cpu\.\w*features:(.*)$", text, re.MULTILINE)
             for word in line.split()}  # fmt: skip
    return names | {name.lower() for name in re.findall(r"^hw\.optional\.(?:arm\.)?(\w+): 1$", text, re.MULTILINE)}


def sysctl_model(text: str) -> str:
    """The CPU's name in the output of macOS's `sysctl machdep.cpu`, or empty."""
    found = re.search(r"^machdep\.cpu\.brand_string: (.*)$", text, re.MULTILINE)
    return found.group(1).strip() if found else ""


def isa_names(features: Iterable[str], architecture: str) -> tuple[str, ...]:
    """The instruction sets among raw feature names, in the manifest's names, sorted."""
    raw = {feature.lower() for feature in features}
    names = {_FEATURES[feature] for feature in raw if feature in _FEATURES}
    if raw >= _AVX512 or "avx512_skx" in raw:
        names.add("avx512")
    else:
        names -= {"avx512_vnni", "avx512_bf16", "avx512_fp16"}
    if architecture == "x86_64":
        names.add("x86-64")
    if architecture == "arm64":  # an emulator may show the flags of the CPU below it
        names = {"arm64", *(name for name in names if name in _OF_ARM)}
    return tuple(sorted(names))


def host_name(
    model: str, isa: str, cores: int, accelerators: tuple[str, ...], limited: Mapping[str, str] = MappingProxyType({})
) -> str:
    """A path-safe lower-case id of the class of machine, such as `amd-epyc-avx512_vnni-2c`. `limited` has the classes
    of runtimes that use less than the CPU has."""
    plain = re.sub(r"\((?:r|tm|c)\)|@.*|\bcpu\b|\bprocessor\b|\b\d+-core\b", " ", model, flags=re.IGNORECASE)
    parts = [slug(plain) or "cpu", isa, f"{cores}c", *(slug(name) for name in accelerators[:1])]
    parts += [f"{runtime}-{name}" for runtime, name in sorted(limited.items())]
    return "-".join(part for part in parts if part)


def numpy_features() -> set[str]:
    """What numpy's own dispatcher found: the only source on Windows, a second opinion elsewhere."""
    try:
        from numpy._core._multiarray_umath import __cpu_features__ as table  # type: ignore[import-not-found]
    except ImportError:
        return set()
    return {name.lower() for name, present in table.items() if present}
