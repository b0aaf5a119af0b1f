"""ONEDNN_MAX_CPU_ISA: which instruction sets OpenVINO's CPU plugin may use, where a variable limits it.

OpenVINO then chooses other kernels, with other scores, and says nothing of it: its capabilities stay those of the CPU.
https://uxlfoundation.github.io/oneDNN/dev_guide_cpu_dispatcher_control.html
"""

from collections.abc import Mapping, Sequence

VARIABLES = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""The first that is set counts."""
_LEVELS = {
    "SSE41": (),
    "AVX": ("avx",),
    "AVX2": ("avx2", "f16c", "fma"),
    "AVX2_VNNI": ("avx_vnni",),
    "AVX2_VNNI_2": (),
    "AVX512_CORE": ("avx512",),
    "AVX512_CORE_VNNI": ("avx512_vnni",),
    "AVX512_CORE_BF16": ("avx512_bf16",),
    "AVX512_CORE_FP16": ("avx512_fp16",),
    "AVX512_CORE_AMX": ("amx_tile", "amx_int8", "amx_bf16"),
    "AVX512_CORE_AMX_FP16": ("amx_fp16",),
}
"""oneDNN's levels in ascending order, and what each adds to the ones before it."""


def limited(isa: Sequence[str], environment: Mapping[str, str]) -> tuple[str, ...] | None:
    """What is left of `isa` under the limit; None where there is none, or it takes nothing away.

    An unknown level is no limit, as for oneDNN.
    """
    level = next((value.upper() for name in VARIABLES if (value := environment.get(name))), "")
    if level not in _LEVELS or "x86-64" not in isa:
        return None
    order = list(_LEVELS)
    beyond = {name for each in order[order.index(level) + 1 :] for name in _LEVELS[each]}
    left = tuple(name for name in isa if name not in beyond)
    return None if left == tuple(isa) else left
