"""What this machine can do, as the manifest describes it.

Every reader in this package is a pure function over text; `detect` and `limits.thread_count` only fetch the texts, from
below a root folder that tests replace.
"""

import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

from artificer.host.cpu import (
    cpu_features,
    cpu_model,
    host_name,
    isa_names,
    normal_architecture,
    numpy_features,
    sysctl_features,
    sysctl_model,
)
from artificer.host.limits import available_cores
from artificer.host.nvidia import gpus_of, visible_gpus
from artificer.host.onednn_limit import limited
from artificer.host.reading import output, text_of
from artificer.host.runtimes import installed_runtimes
from artificer.manifest import Host
from artificer.manifest.isa_classes import isa_class


def detect(root: Path = Path("/"), environment: Mapping[str, str] = os.environ) -> Host:
    """This machine's class, read without importing a runtime (a few milliseconds).

    `accelerators` are the NVIDIA GPUs that this process may use, by CUDA_VISIBLE_DEVICES and the device nodes there
    are. `runtime_isa` follows ONEDNN_MAX_CPU_ISA, which OpenVINO obeys.
    """
    architecture = normal_architecture(platform.machine())
    cpuinfo = text_of(root / "proc/cpuinfo")
    sysctl = _sysctl() if sys.platform == "darwin" else ""
    isa = isa_names(cpu_features(cpuinfo) | sysctl_features(sysctl) | numpy_features(), architecture)
    model = cpu_model(cpuinfo) or sysctl_model(sysctl) or platform.processor() or architecture
    cores, _ = available_cores(root)
    accelerators = visible_gpus(gpus_of(root, environment), environment)
    left = limited(isa, environment)
    limits = {"openvino": left} if left is not None else {}
    classes = {name: isa_class(each, architecture) for name, each in limits.items()}
    return Host(
        name=host_name(model, isa_class(isa, architecture), cores, accelerators, classes),
        architecture=architecture,
        cpu_model=model,
        isa=isa,
        isa_class=isa_class(isa, architecture),
        cores=cores,
        accelerators=accelerators,
        runtimes=installed_runtimes(with_gpu=bool(accelerators)),
        runtime_isa=limits,
    )


def _sysctl() -> str:
    return output(["/usr/sbin/sysctl", "machdep.cpu", "hw.optional"])
