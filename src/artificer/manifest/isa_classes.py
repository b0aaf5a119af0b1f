"""Classes of CPUs: the level of instructions that the runtimes' kernels are chosen by, and so the one that scores of
int8 and half precisions depend on.

bf16 and f16 are no levels. A half precision is offered only where the CPU has it, so that its records say what is
needed; kernels of int8 and float32 are the same with and without (decision 43).
"""

from collections.abc import Iterable

from artificer.manifest.structs import Host, Runtime

X86_CLASSES = ("amx", "avx512_vnni", "avx512", "avx_vnni", "avx2", "x86-64")
"""Best first; an x86 machine is in exactly one."""
ARM_FEATURES = ("dotprod", "i8mm", "sve")
"""What an Arm class names beside `arm64`, in this order: `arm64_dotprod_i8mm`."""
_NEEDS = {"amx": ("amx_tile", "amx_int8")}
AMBIGUOUS = frozenset({"avx512_vnni", "avx2", "arm64"})
"""Classes of releases before manifest schema 2.1 that today are two and more: `avx512_vnni` held AMX, `avx2` held AVX
VNNI, `arm64` all of Arm."""


def isa_class(isa: Iterable[str], architecture: str) -> str:
    """The class of a machine with these instruction sets; on other architectures, the architecture."""
    names = set(isa)
    if "arm64" in names:
        return "_".join(["arm64", *(name for name in ARM_FEATURES if name in names)])
    return next((name for name in X86_CLASSES if names.issuperset(_NEEDS.get(name, (name,)))), architecture)


def isa_of(host: Host, runtime: Runtime) -> tuple[str, ...]:
    """The instruction sets that a runtime uses on the host: all of its CPU, unless the runtime is limited."""
    return host.runtime_isa.get(runtime, host.isa)


def class_of(host: Host, runtime: Runtime) -> str:
    """The class that a runtime's records on the host's CPU belong to."""
    if runtime not in host.runtime_isa:
        return host.isa_class
    return isa_class(host.runtime_isa[runtime], host.architecture)
