"""What this machine can do: instruction sets, cores under affinity and cgroup limits, accelerators, runtimes.

Every reader is a pure function over text; `detect` and `thread_count` only fetch the texts, from below a root folder
that tests replace.
"""

import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from math import floor, inf
from pathlib import Path
from typing import NamedTuple

from artificer.accelerators import GPU_PACKAGE
from artificer.manifest import Host

ISA_CLASSES = ("avx512_vnni", "avx512", "avx2", "x86-64", "arm64")
"""The classes that parity is recorded for, best first; a machine is in exactly one."""

THREADS_VARIABLE = "ARTIFICER_THREADS"

# Names of the kernel, of macOS (sysctl, lower case) and of numpy's table, to the names that the manifest uses.
_FEATURES = {
    "avx": "avx", "avx1.0": "avx", "avx2": "avx2", "avx2_0": "avx2", "fma": "fma", "fma3": "fma", "f16c": "f16c",
    "avx_vnni": "avx_vnni", "avx512_vnni": "avx512_vnni", "avx512vnni": "avx512_vnni",
    "avx512_bf16": "avx512_bf16", "avx512bf16": "avx512_bf16", "avx512_fp16": "avx512_fp16",
    "avx512fp16": "avx512_fp16", "amx_tile": "amx_tile", "amx_int8": "amx_int8", "amx_bf16": "amx_bf16",
    "asimd": "neon", "neon": "neon", "asimdhp": "fp16", "feat_fp16": "fp16", "asimddp": "dotprod",
    "feat_dotprod": "dotprod", "i8mm": "i8mm", "feat_i8mm": "i8mm", "bf16": "bf16", "feat_bf16": "bf16", "sve": "sve",
}  # fmt: skip
_AVX512 = {"avx512f", "avx512bw", "avx512dq", "avx512vl"}
_ARM_PARTS = {
    ("0x41", "0xd0c"): "neoverse-n1", ("0x41", "0xd40"): "neoverse-v1", ("0x41", "0xd49"): "neoverse-n2",
    ("0x41", "0xd4f"): "neoverse-v2", ("0x41", "0xd08"): "cortex-a72", ("0x41", "0xd0b"): "cortex-a76",
}  # fmt: skip
_DISTRIBUTIONS = {
    "onnxruntime": ("onnxruntime", GPU_PACKAGE, "onnxruntime-openvino", "onnxruntime-directml"),
    "openvino": ("openvino",),
}


class Gpu(NamedTuple):
    """An NVIDIA GPU as its driver describes it; `uuid` is empty and `minor` None where it does not say."""

    model: str
    uuid: str
    minor: int | None


def detect(root: Path = Path("/"), environment: Mapping[str, str] = os.environ) -> Host:
    """This machine's class, read without importing a runtime (a few milliseconds).

    `accelerators` are the NVIDIA GPUs that this process may use, by CUDA_VISIBLE_DEVICES and the device nodes there
    are.
    """
    architecture = normal_architecture(platform.machine())
    cpuinfo = _text(root / "proc/cpuinfo")
    sysctl = _sysctl() if sys.platform == "darwin" else ""
    isa = isa_names(cpu_features(cpuinfo) | sysctl_features(sysctl) | _numpy_features(), architecture)
    model = cpu_model(cpuinfo) or sysctl_model(sysctl) or platform.processor() or architecture
    cores, _ = available_cores(root)
    accelerators = visible_gpus(_gpus(root, environment), environment)
    return Host(
        name=host_name(model, isa_class(isa, architecture), cores, accelerators),
        architecture=architecture,
        cpu_model=model,
        isa=isa,
        isa_class=isa_class(isa, architecture),
        cores=cores,
        accelerators=accelerators,
        runtimes=installed_runtimes(with_gpu=bool(accelerators)),
    )


def thread_count(environment: Mapping[str, str] = os.environ, root: Path = Path("/")) -> tuple[int, str]:
    """How many threads to compute with, and where that number came from.

    `ARTIFICER_THREADS` wins. Else one per physical core in the affinity mask (what both runtimes would choose if they
    saw the mask), no more than the cgroup's quota, rounded down: beyond the quota the kernel stops the process in the
    middle of a matrix product.
    """
    wish = environment.get(THREADS_VARIABLE, "")
    if wish.isdecimal() and int(wish) > 0:
        return int(wish), THREADS_VARIABLE
    cores, source = available_cores(root)
    physical = physical_cores(_siblings(root, _affinity()))
    if physical and physical < cores:
        return physical, f"{physical} physical cores in the CPU affinity mask"
    return cores, source


def available_cores(root: Path = Path("/")) -> tuple[int, str]:
    """Logical CPUs that this process may use (at least 1), and what limits them."""
    mask = len(_affinity())
    quota, source = cgroup_quota(root)
    if quota < mask:
        return max(1, floor(quota)), f"{source} of {quota:g} CPUs"
    return max(1, mask), f"{mask} CPUs in the affinity mask"


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
    if architecture == "arm64":
        names.add("arm64")
    return tuple(sorted(names))


def isa_class(isa: Iterable[str], architecture: str) -> str:
    """The single best of ISA_CLASSES that `isa` has; on other architectures, the architecture."""
    names = set(isa)
    return next((name for name in ISA_CLASSES if name in names), architecture)


def host_name(model: str, isa: str, cores: int, accelerators: tuple[str, ...]) -> str:
    """A path-safe lower-case id of the class of machine, such as `amd-epyc-avx512_vnni-2c`."""
    plain = re.sub(r"\((?:r|tm|c)\)|@.*|\bcpu\b|\bprocessor\b|\b\d+-core\b", " ", model, flags=re.IGNORECASE)
    parts = [_slug(plain) or "cpu", isa, f"{cores}c", *(_slug(name) for name in accelerators[:1])]
    return "-".join(part for part in parts if part)


def quota_v2(cpu_max: str) -> float:
    """CPUs that a cgroup v2 `cpu.max` grants (`"150000 100000"` is 1.5); infinite for `max` or nonsense."""
    found = re.fullmatch(r"(\d+) (\d+)\s*", cpu_max)
    return int(found[1]) / int(found[2]) if found and int(found[1]) and int(found[2]) else inf


def quota_v1(quota_us: str, period_us: str) -> float:
    """CPUs that cgroup v1's `cpu.cfs_quota_us` and `cpu.cfs_period_us` grant; infinite for -1 or nonsense."""
    if not (quota_us.strip().isdecimal() and period_us.strip().isdecimal()):
        return inf
    quota, period = int(quota_us), int(period_us)
    return quota / period if quota and period else inf


def cgroup_paths(proc_self_cgroup: str) -> tuple[str | None, str | None]:
    """The process's paths in the v2 hierarchy and in v1's cpu controller, from /proc/self/cgroup; None if absent."""
    unified = cpu = None
    for line in proc_self_cgroup.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            unified = path
        elif "cpu" in controllers.split(","):
            cpu = path
    return unified, cpu


def cgroup_quota(root: Path = Path("/")) -> tuple[float, str]:
    """The tightest CPU quota on the way from the process's cgroup to the mount, and its kind; infinite if none.

    Inside a container the process's path may not be below the mount: folders that are not there are skipped.
    """
    unified, cpu = cgroup_paths(_text(root / "proc/self/cgroup"))
    found = [(inf, "no quota")]
    for folder in _ancestors(unified):
        found.append((quota_v2(_text(root / "sys/fs/cgroup" / folder / "cpu.max")), "cgroup v2 quota"))
    for mount in ("cpu", "cpu,cpuacct"):
        for folder in _ancestors(cpu):
            base = root / "sys/fs/cgroup" / mount / folder
            quota = quota_v1(_text(base / "cpu.cfs_quota_us"), _text(base / "cpu.cfs_period_us"))
            found.append((quota, "cgroup v1 quota"))
    return min(found, key=lambda pair: pair[0])


def physical_cores(siblings: Iterable[str]) -> int:
    """Distinct cores among CPUs' `thread_siblings_list` texts; 0 when one of them is unknown."""
    texts = [text.strip() for text in siblings]
    return len(set(texts)) if all(texts) else 0


def installed_runtimes(with_gpu: bool = False) -> dict[str, str]:
    """Name to version of the runtimes that are installed, from their metadata alone; on request onnxruntime-gpu too,
    which provides the same module as onnxruntime."""
    found = {}
    for runtime, distributions in {**_DISTRIBUTIONS, **({GPU_PACKAGE: (GPU_PACKAGE,)} if with_gpu else {})}.items():
        for distribution in distributions:
            try:
                found[runtime] = metadata.version(distribution)
                break
            except metadata.PackageNotFoundError:
                continue
    return found


def gpu_class(accelerators: Sequence[str]) -> str:
    """The class that figures on CUDA belong to: the first GPU's model, path-safe; empty without a GPU."""
    return _slug(accelerators[0]) if accelerators else ""


def gpus(information: Iterable[str]) -> tuple[Gpu, ...]:
    """The GPUs of /proc/driver/nvidia/gpus/*/information texts, in their order."""
    found = []
    for text in information:
        fields: dict[str, str] = dict(re.findall(r"^([^:\n]*?)[ \t]*:[ \t]*(.*?)[ \t]*$", text, re.MULTILINE))
        minor = fields.get("Device Minor", "")
        if model := fields.get("Model"):
            number = int(minor) if re.fullmatch("[0-9]{1,4}", minor) else None
            found.append(Gpu(model, fields.get("GPU UUID", ""), number))
    return tuple(found)


def visible_gpus(found: Sequence[Gpu], environment: Mapping[str, str]) -> tuple[str, ...]:
    """The models of the GPUs that CUDA would offer a process with this environment, in its order.

    CUDA_VISIBLE_DEVICES lists numbers or UUIDs; the first that fits no GPU ends the list, as in CUDA. Numbers count in
    the driver's order, which is CUDA's where all GPUs are of one model. A part of a GPU (MIG) is a class of its own.
    """
    wish = environment.get("CUDA_VISIBLE_DEVICES")
    if wish is None:
        return tuple(gpu.model for gpu in found)
    chosen: list[str] = []
    for name in (part.strip() for part in wish.split(",")):
        if name.startswith("MIG-") and found:
            chosen.append(f"{found[0].model} MIG")
            continue
        if re.fullmatch("[0-9]{1,4}", name):
            fitting = list(found[int(name) : int(name) + 1])
        else:
            fitting = [gpu for gpu in found if name.startswith("GPU-") and gpu.uuid.startswith(name)]
        if len(fitting) != 1:
            break
        chosen.append(fitting[0].model)
    return tuple(chosen)


def _gpus(root: Path, environment: Mapping[str, str]) -> tuple[Gpu, ...]:
    """The GPUs that the driver shows and that have a device node: a container may see the first without the second."""
    if environment.get("NVIDIA_VISIBLE_DEVICES") in ("none", "void"):  # what the container toolkit calls no GPU
        return ()
    driver = root / "proc/driver/nvidia"
    if driver.is_dir():
        found = gpus(_text(path) for path in sorted(driver.glob("gpus/*/information")))
        return tuple(gpu for gpu in found if gpu.minor is None or (root / f"dev/nvidia{gpu.minor}").exists())
    from shutil import which

    tool = which("nvidia-smi") if root == Path("/") else None  # Windows, and Linux inside it, have no such folder
    if tool is None:
        return ()
    lines = _output([tool, "--query-gpu=name,uuid", "--format=csv,noheader"])
    # On failure it prints a sentence where the list should be.
    return tuple(Gpu(model, uuid, None) for model, uuid in re.findall(r"^(.+), (GPU-[0-9a-f-]+)$", lines, re.MULTILINE))


def _numpy_features() -> set[str]:
    """What numpy's own dispatcher found: the only source on Windows, a second opinion elsewhere."""
    try:
        from numpy._core._multiarray_umath import __cpu_features__ as table  # type: ignore[import-not-found]
    except ImportError:
        return set()
    return {name.lower() for name, present in table.items() if present}


def _affinity() -> tuple[int, ...]:
    if sys.platform == "linux":
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def _siblings(root: Path, cpus: Iterable[int]) -> list[str]:
    base = root / "sys/devices/system/cpu"
    return [_text(base / f"cpu{cpu}/topology/thread_siblings_list") for cpu in cpus]


def _ancestors(path: str | None) -> list[str]:
    """`/a/b` to `a/b`, `a` and the empty string: folders relative to the mount; none for None."""
    if path is None:
        return []
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    return ["/".join(parts[:end]) for end in range(len(parts), -1, -1)]


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _sysctl() -> str:
    return _output(["/usr/sbin/sysctl", "machdep.cpu", "hw.optional"])


def _output(command: list[str]) -> str:
    import subprocess

    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
