"""NVIDIA GPUs: which there are, and which of them this process may use."""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from artificer.host.reading import output, slug, text_of


class Gpu(NamedTuple):
    """An NVIDIA GPU as its driver describes it; `uuid` is empty and `minor` None where it does not say."""

    model: str
    uuid: str
    minor: int | None


def gpu_class(accelerators: Sequence[str]) -> str:
    """The class that figures on CUDA belong to: the first GPU's model, path-safe; empty without a GPU."""
    return slug(accelerators[0]) if accelerators else ""


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


def gpus_of(root: Path, environment: Mapping[str, str]) -> tuple[Gpu, ...]:
    """The GPUs that the driver shows and that have a device node: a container may see the first without the second."""
    if environment.get("NVIDIA_VISIBLE_DEVICES") in ("none", "void"):  # what the container toolkit calls no GPU
        return ()
    driver = root / "proc/driver/nvidia"
    if driver.is_dir():
        found = gpus(text_of(path) for path in sorted(driver.glob("gpus/*/information")))
        return tuple(gpu for gpu in found if gpu.minor is None or (root / f"dev/nvidia{gpu.minor}").exists())
    # Windows, Linux inside it, and containers with the device nodes alone have no such folder.
    nodes = (root / "dev/dxg", root / "dev/nvidiactl")
    if root != Path("/") or not (sys.platform == "win32" or any(node.exists() for node in nodes)):
        return ()
    from shutil import which

    tool = which("nvidia-smi")
    if tool is None:
        return ()
    lines = output([tool, "--query-gpu=name,uuid", "--format=csv,noheader"])
    # On failure it prints a sentence where the list should be.
    return tuple(Gpu(model, uuid, None) for model, uuid in re.findall(r"^(.+), (GPU-[0-9a-f-]+)$", lines, re.MULTILINE))
