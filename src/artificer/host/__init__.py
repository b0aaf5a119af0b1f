"""This machine: instruction sets, cores under affinity and cgroup limits, GPUs, installed runtimes."""

from artificer.host.cpu import (
    cpu_features,
    cpu_model,
    host_name,
    isa_names,
    normal_architecture,
    sysctl_features,
    sysctl_model,
)
from artificer.host.detection import detect
from artificer.host.limits import (
    THREADS_VARIABLE,
    available_cores,
    cgroup_paths,
    cgroup_quota,
    physical_cores,
    quota_v1,
    quota_v2,
    thread_count,
)
from artificer.host.nvidia import Gpu, gpu_class, gpus, visible_gpus
from artificer.host.runtimes import installed_runtimes
from artificer.manifest.isa_classes import class_of, isa_class, isa_of

__all__ = [
    "THREADS_VARIABLE",
    "Gpu",
    "available_cores",
    "cgroup_paths",
    "cgroup_quota",
    "class_of",
    "cpu_features",
    "cpu_model",
    "detect",
    "gpu_class",
    "gpus",
    "host_name",
    "installed_runtimes",
    "isa_class",
    "isa_names",
    "isa_of",
    "normal_architecture",
    "physical_cores",
    "quota_v1",
    "quota_v2",
    "sysctl_features",
    "sysctl_model",
    "thread_count",
    "visible_gpus",
]
