from importlib import metadata
from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artificer import host
from artificer.host import distributions
from artificer.host.onednn_limit import limited
from artificer.manifest.isa_classes import X86_CLASSES

EPYC = """processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC 9R14 96-Core Processor
flags\t\t: fpu sse2 avx f16c fma avx2 avx512f avx512dq avx512bw avx512vl avx512_vnni avx512_bf16

processor\t: 1
model name\t: AMD EPYC 9R14 96-Core Processor
flags\t\t: fpu sse2 avx f16c fma avx2 avx512f avx512dq avx512bw avx512vl avx512_vnni avx512_bf16
"""
GRAVITON = """processor\t: 0
BogoMIPS\t: 2100.00
Features\t: fp asimd asimdhp asimddp sve i8mm bf16
CPU implementer\t: 0x41
CPU part\t: 0xd40
"""
APPLE = """machdep.cpu.brand_string: Apple M2
hw.optional.neon: 1
hw.optional.arm.FEAT_DotProd: 1
hw.optional.arm.FEAT_I8MM: 1
hw.optional.arm.FEAT_SME: 0
"""


def machine(root: Path, files: dict[str, str]) -> Path:
    """A root folder with these files."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def test_an_x86_cpu_has_the_isa_names_of_the_manifest() -> None:
    """The kernel's flags become the manifest's names, and the best class is found."""
    isa = host.isa_names(host.cpu_features(EPYC), "x86_64")
    assert isa == ("avx", "avx2", "avx512", "avx512_bf16", "avx512_vnni", "f16c", "fma", "x86-64")
    assert host.isa_class(isa, "x86_64") == "avx512_vnni"
    assert host.host_name(host.cpu_model(EPYC), "avx512_vnni", 2, ()) == "amd-epyc-9r14-avx512_vnni-2c"


def test_an_arm_server_has_its_class_and_its_part_as_a_name() -> None:
    """Arm's cpuinfo has no model name: implementer and part give one."""
    isa = host.isa_names(host.cpu_features(GRAVITON), "arm64")
    assert {"arm64", "dotprod", "i8mm", "neon"} <= set(isa)
    assert host.isa_class(isa, "arm64") == "arm64_dotprod_i8mm_sve"
    assert host.cpu_model(GRAVITON) == "neoverse-v1"


def test_a_mac_is_read_from_sysctl() -> None:
    """Features that are 1 count, features that are 0 do not."""
    isa = host.isa_names(host.sysctl_features(APPLE), "arm64")
    assert isa == ("arm64", "dotprod", "i8mm", "neon")
    assert host.sysctl_model(APPLE) == "Apple M2"


def test_a_feature_counts_only_if_every_cpu_has_it() -> None:
    """On a hybrid machine a thread may run on either kind of core."""
    assert host.cpu_features("flags : avx avx2 avx512f\n\nflags : avx avx2\n") == {"avx", "avx2"}


def test_the_flags_of_another_architecture_are_not_the_cpus() -> None:
    """An emulator shows the /proc/cpuinfo of the machine below it."""
    assert host.isa_names({"avx2", "avx512_vnni", "asimd", "asimddp"}, "arm64") == ("arm64", "dotprod", "neon")


def test_vnni_without_the_rest_of_avx512_is_not_the_vnni_class() -> None:
    """The class promises all of AVX-512's usual sets, not one name of them."""
    isa = host.isa_names({"avx2", "avx512_vnni", "avx512f"}, "x86_64")
    assert host.isa_class(isa, "x86_64") == "avx2"


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ("avx2 avx512f avx512dq avx512bw avx512vl avx512_vnni avx512_bf16 amx_tile amx_int8 amx_bf16", "amx"),
        ("avx2 avx512f avx512dq avx512bw avx512vl avx512_vnni avx512_bf16 avx_vnni", "avx512_vnni"),
        ("avx2 avx512f avx512dq avx512bw avx512vl", "avx512"),
        ("avx2 avx_vnni", "avx_vnni"),
        ("avx2 fma", "avx2"),
        ("sse4_2", "x86-64"),
    ],
)
def test_an_x86_class_is_the_level_that_kernels_are_chosen_by(flags: str, name: str) -> None:
    """AMX and AVX VNNI have kernels of their own; bf16 makes no other class, since a bf16 execution needs it anyway."""
    assert host.isa_class(host.isa_names(flags.split(), "x86_64"), "x86_64") == name


@pytest.mark.parametrize(
    ("features", "name"),
    [
        ("asimd", "arm64"),
        ("asimd asimddp", "arm64_dotprod"),
        ("asimd asimddp i8mm", "arm64_dotprod_i8mm"),
        ("asimd asimddp i8mm sve bf16", "arm64_dotprod_i8mm_sve"),
        ("asimd sve", "arm64_sve"),
    ],
)
def test_an_arm_class_names_what_its_integer_kernels_use(features: str, name: str) -> None:
    """Each combination is a class of its own: none includes another."""
    assert host.isa_class(host.isa_names(features.split(), "arm64"), "arm64") == name


AMX = ("amx_bf16", "amx_int8", "amx_tile", "avx", "avx2", "avx512", "avx512_bf16", "avx512_vnni", "fma", "x86-64")


@pytest.mark.parametrize(
    ("variables", "left"),
    [
        ({}, None),
        ({"ONEDNN_MAX_CPU_ISA": "DEFAULT"}, None),
        ({"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_AMX_FP16"}, None),
        ({"ONEDNN_MAX_CPU_ISA": "avx512_core_bf16"}, AMX[3:]),
        ({"DNNL_MAX_CPU_ISA": "AVX512_CORE"}, ("avx", "avx2", "avx512", "fma", "x86-64")),
        ({"ONEDNN_MAX_CPU_ISA": "AVX2", "DNNL_MAX_CPU_ISA": "AVX512_CORE"}, ("avx", "avx2", "fma", "x86-64")),
    ],
)
def test_onednns_limit_takes_instruction_sets_away(variables: dict[str, str], left: tuple[str, ...] | None) -> None:
    """In either case, under either of its names, and a level above the CPU's takes nothing."""
    assert limited(AMX, variables) == left


def test_a_limited_openvino_is_a_class_of_its_own_and_onnxruntime_is_not(tmp_path: Path) -> None:
    """The host has another name: its figures and records are kept apart."""
    root = machine(tmp_path, {"proc/cpuinfo": EPYC})
    plain, found = host.detect(root, {}), host.detect(root, {"ONEDNN_MAX_CPU_ISA": "AVX2"})
    if found.architecture != "x86_64":
        pytest.skip("oneDNN's levels are those of x86")
    assert (host.class_of(found, "onnx"), host.class_of(found, "openvino")) == (plain.isa_class, "avx2")
    assert found.name == f"{plain.name}-openvino-avx2"
    assert host.class_of(plain, "openvino") == plain.isa_class


@pytest.mark.parametrize(
    ("text", "cpus"), [("max 100000\n", inf), ("150000 100000\n", 1.5), ("0 100000", inf), ("", inf), ("a b", inf)]
)
def test_a_v2_quota_is_in_cpus(text: str, cpus: float) -> None:
    """Quota over period; `max` and nonsense are no limit."""
    assert host.quota_v2(text) == cpus


@pytest.mark.parametrize(
    ("quota", "period", "cpus"), [("-1", "100000", inf), ("50000\n", "100000\n", 0.5), ("", "", inf)]
)
def test_a_v1_quota_is_in_cpus(quota: str, period: str, cpus: float) -> None:
    """Quota over period; -1 and nonsense are no limit."""
    assert host.quota_v1(quota, period) == cpus


def test_the_tightest_quota_on_the_way_up_counts(tmp_path: Path) -> None:
    """A parent group's quota binds its children."""
    root = machine(
        tmp_path,
        {
            "proc/self/cgroup": "0::/pod/container\n",
            "sys/fs/cgroup/pod/container/cpu.max": "max 100000\n",
            "sys/fs/cgroup/pod/cpu.max": "130000 100000\n",
        },
    )
    assert host.cgroup_quota(root) == (1.3, "cgroup v2 quota")
    assert host.available_cores(root) == (1, "cgroup v2 quota of 1.3 CPUs")


def test_a_v1_quota_is_found_where_the_container_mounts_its_own_group(tmp_path: Path) -> None:
    """The process's path is not below the mount inside a container: the mount's root holds the quota."""
    root = machine(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
    )
    assert host.cgroup_quota(root) == (0.5, "cgroup v1 quota")
    assert host.thread_count({}, root) == (1, "cgroup v1 quota of 0.5 CPUs")


def test_the_variable_for_threads_wins() -> None:
    """ARTIFICER_THREADS is taken, and named as the source; nonsense in it is not."""
    assert host.thread_count({"ARTIFICER_THREADS": "3"}) == (3, "ARTIFICER_THREADS")
    assert host.thread_count({"ARTIFICER_THREADS": "many"})[1] != "ARTIFICER_THREADS"


def test_hyperthreads_count_once() -> None:
    """Two logical CPUs with the same sibling list are one core; an unknown topology is none."""
    assert host.physical_cores(["0,2\n", "1,3\n", "0,2\n", "1,3\n"]) == 2
    assert host.physical_cores(["0,2", ""]) == 0


def gpu(minor: int, model: str = "NVIDIA H100", uuid: str = "") -> dict[str, str]:
    """What the driver shows of a GPU, and its device node."""
    text = f"Model: \t\t {model}\nIRQ:   \t\t 16\nGPU UUID: \t {uuid}\nVideo BIOS: \t ??\nDevice Minor: \t {minor}\n"
    return {f"proc/driver/nvidia/gpus/0000:0{minor}:00.0/information": text, f"dev/nvidia{minor}": ""}


def test_gpus_are_read_from_the_driver(tmp_path: Path) -> None:
    """The NVIDIA driver lists its GPUs in /proc; their model is part of the host's name."""
    root = machine(tmp_path, gpu(0))
    found = host.detect(root, {})
    assert found.accelerators == ("NVIDIA H100",)
    assert found.name.endswith("-nvidia-h100")
    assert host.gpu_class(found.accelerators) == "nvidia-h100"


def test_a_gpu_without_a_device_node_is_not_this_processs(tmp_path: Path) -> None:
    """A container sees the host's driver in /proc, and only the devices that it was given."""
    root = machine(tmp_path, {**gpu(0), **gpu(1, "NVIDIA L4")})
    (root / "dev/nvidia0").unlink()
    assert host.detect(root, {}).accelerators == ("NVIDIA L4",)
    assert host.detect(root, {"NVIDIA_VISIBLE_DEVICES": "void"}).accelerators == ()
    assert host.detect(root, {"NVIDIA_VISIBLE_DEVICES": "all"}).accelerators == ("NVIDIA L4",)


@pytest.mark.parametrize(
    ("visible", "models"),
    [
        ("", ()),
        ("-1", ()),
        ("1", ("B",)),
        ("1,0", ("B", "A")),
        ("0,9,1", ("A",)),
        ("GPU-bb", ("B",)),
        (" GPU-bb , 0", ("B", "A")),
        ("GPU-", ()),
        ("nonsense", ()),
        ("MIG-c0ffee", ("A MIG",)),
    ],
)
def test_cuda_visible_devices_chooses_as_cuda_does(visible: str, models: tuple[str, ...]) -> None:
    """Numbers and UUIDs in the order given; the first that fits no GPU ends the list; a part of a GPU is no GPU."""
    found = (host.Gpu("A", "GPU-aa11", 0), host.Gpu("B", "GPU-bb22", 1))
    assert host.visible_gpus(found, {"CUDA_VISIBLE_DEVICES": visible}) == models
    assert host.visible_gpus((), {"CUDA_VISIBLE_DEVICES": visible}) == ()
    assert host.visible_gpus(found, {}) == ("A", "B")


def test_onnxruntime_gpu_counts_only_beside_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """It provides onnxruntime's module; whether it is there decides about CUDA."""
    there = {"onnxruntime-gpu": "1.31.1"}
    monkeypatch.setattr(
        "artificer.host.runtimes.installed_versions", lambda names: {n: there[n] for n in names if n in there}
    )
    assert host.installed_runtimes() == {"onnxruntime": "1.31.1"}
    assert host.installed_runtimes(with_gpu=True) == {"onnxruntime": "1.31.1", "onnxruntime-gpu": "1.31.1"}


def test_versions_are_those_of_importlib_metadata() -> None:
    """For whatever is installed here, under any spelling of its name."""
    for name in ("onnxruntime", "openvino", "numpy", "huggingface-hub", "huggingface_hub"):
        assert distributions.installed_versions([name]) == {name: metadata.version(name)}


def test_a_distribution_that_is_not_installed_has_no_version(tmp_path: Path) -> None:
    """Neither in an empty place nor in one that is not there."""
    assert distributions.installed_versions(["onnxruntime"], [str(tmp_path), str(tmp_path / "none")]) == {}


def test_the_first_place_wins_and_another_name_does_not_count(tmp_path: Path) -> None:
    """As on Python's path; `onnxruntime_gpu` is another distribution than `onnxruntime`."""
    for place, entry in (
        ("a", "onnxruntime_gpu-1.0"),
        ("b", "Onnx_Runtime-2.0"),
        ("b", "onnxruntime-3.0"),
        ("c", "onnxruntime-4.0"),
    ):
        (tmp_path / place / f"{entry}.dist-info").mkdir(parents=True)
    places = [str(tmp_path / name) for name in "abc"]
    assert distributions.installed_versions(["onnxruntime"], places) == {"onnxruntime": "3.0"}


def test_an_older_kind_of_record_is_read_by_importlib_metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder `.egg-info` need not have the version in its name."""
    (tmp_path / "onnxruntime.egg-info").mkdir()
    (tmp_path / "onnxruntime.egg-info" / "PKG-INFO").write_text("Name: onnxruntime\nVersion: 1.2.3\n")
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert distributions.installed_versions(["onnxruntime"]) == {"onnxruntime": "1.2.3"}


def test_this_machine_is_detected_without_importing_a_runtime() -> None:
    """The class of the machine that runs the tests is one of the known ones, and its name is safe in a path."""
    found = host.detect()
    assert found.isa_class in X86_CLASSES or found.isa_class.startswith("arm64")
    assert set(found.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")
    assert {"onnxruntime", "openvino"} <= found.runtimes.keys()


@given(st.text())
def test_no_text_breaks_the_parsers(text: str) -> None:
    """Whatever the kernel or a container shows, parsing it does not raise."""
    host.cpu_features(text)
    host.cpu_model(text)
    host.cgroup_paths(text)
    host.quota_v2(text)
    host.quota_v1(text, text)
    host.sysctl_features(text)
    host.gpus([text])
    host.visible_gpus([host.Gpu(text, text, 0)], {"CUDA_VISIBLE_DEVICES": text})
    name = host.host_name(text, "avx2", 1, (text,))
    assert name
    assert "/" not in name
