"""This machine: instruction sets, cores under affinity and cgroup limits, GPUs, installed runtimes."""

from artificer.host.cpu import (
    ISA_CLASSES,
    cpu_features,
    cpu_model,
    host_name,
    isa_class,
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

__all__ = [
    "ISA_CLASSES",
    "THREADS_VARIABLE",
    "Gpu",
    "available_cores",
    "cgroup_paths",
    "cgroup_quota",
    "cpu_features",
    "cpu_model",
    "detect",
    "gpu_class",
    "gpus",
    "host_name",
    "installed_runtimes",
    "isa_class",
    "isa_names",
    "normal_architecture",
    "physical_cores",
    "quota_v1",
    "quota_v2",
    "sysctl_features",
    "sysctl_model",
    "thread_count",
    "visible_gpus",
]
