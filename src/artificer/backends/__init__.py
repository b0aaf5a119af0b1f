"""The backends that can execute a graph: `Backend` is their protocol, `BACKENDS` the table. Only its rows tell one
backend from another.

The table imports no runtime. A backend imports its own when it is asked for its `graph_opener`.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from artificer.backends.offers import Offer, unknown_settings
from artificer.backends.onnx import OnnxBackend
from artificer.backends.openvino import OpenVinoBackend
from artificer.backends.packages import Package
from artificer.errors import MissingRuntimeError, SelfTestError
from artificer.manifest import Device, ExecutionPrecision, Host, PrecisionClass, Runtime, said

if TYPE_CHECKING:
    from artificer.backends.compiled_cache import CompiledModelCache
    from artificer.backends.session import OpenGraph, Session, SessionOptions


class Backend(Protocol):
    """What loading, selection and the builder need to know of a runtime.

    `packages` has the package to install for each device that the backend can compute on, the CPU among them.
    `takes_precision` says that an execution precision can be requested from a session; without it a graph is computed
    in its own types, and parity records and benchmarks of any precision hold for it. `settings` lists the settings that
    a session can be opened with; it can also be opened without any. `compiles_per_shape` says that it compiles for
    every input shape that it has not seen. `threads_per_stream` is the number of threads of one stream; None where the
    threads are divided among the streams. `sidecar_suffix` is the suffix of the one file beside a graph that has the
    graph's name; None where the graph itself names the files beside it.
    """

    @property
    def name(self) -> Runtime: ...  # noqa: D102

    @property
    def packages(self) -> Mapping[Device, Package]: ...  # noqa: D102

    @property
    def takes_precision(self) -> bool: ...  # noqa: D102

    @property
    def settings(self) -> tuple[Mapping[str, str], ...]: ...  # noqa: D102

    @property
    def compiles_per_shape(self) -> bool: ...  # noqa: D102

    @property
    def threads_per_stream(self) -> int | None: ...  # noqa: D102

    @property
    def sidecar_suffix(self) -> str | None: ...  # noqa: D102

    def device_problem(self, host: Host, device: Device, precision_class: PrecisionClass) -> str | None:
        """Why a graph of that class cannot run on the device here, or None; read from `host` alone.

        None does not mean that it works: a missing library of a GPU shows only when a session is opened.
        """
        ...

    def offers(self, host: Host, precision_class: PrecisionClass) -> tuple[Offer, ...]:
        """The ways to run a graph of that class here: the CPU in float32 first, workarounds last; read from `host`
        alone. Without `takes_precision` every precision is f32."""
        ...

    def sidecars(self, graph: Path) -> dict[str, int]:
        """The files that the runtime opens beside a graph, relative to its folder, and how many bytes it needs of each.

        Raises:
            IntegrityError: the graph cannot be read.
        """
        ...

    def graph_opener(self) -> "OpenGraph":
        """Import the runtime, and return the function that opens a graph.

        Raises:
            ModuleNotFoundError: the runtime is not installed.
        """
        ...


BACKENDS: dict[Runtime, Backend] = {backend.name: backend for backend in (OnnxBackend(), OpenVinoBackend())}


def backend_problem(name: Runtime) -> str | None:
    """Why there is no such backend, or None if there is one."""
    return None if name in BACKENDS else f"this release has no backend {name!r}"


def import_runtime(name: Runtime) -> None:
    """Import the runtime of a backend. If it is not installed, `open_with` says so."""
    with suppress(ModuleNotFoundError):
        BACKENDS[name].graph_opener()


def open_session(
    name: Runtime,
    graph: Path,
    *,
    threads: int,
    execution_precision: ExecutionPrecision | None = "f32",
    device: Device = "cpu",
    settings: Mapping[str, str] = {},
    output: str = "logits",
    compiled: "CompiledModelCache | None" = None,
) -> "Session":
    """Call `open_with` with these options and without tuning. The keywords are those of `session.SessionOptions`."""
    from artificer.backends.session import SessionOptions

    options = SessionOptions(
        threads=threads,
        execution_precision=execution_precision,
        device=device,
        settings=settings,
        output=output,
        compiled=compiled,
    )
    return open_with(name, graph, options)


def open_with(name: Runtime, graph: Path, options: "SessionOptions") -> "Session":
    """Open `graph` with a backend.

    Raises:
        MissingRuntimeError: there is no such backend, or its package is not installed or cannot use the device.
        SelfTestError: this machine computes in another precision than the options ask for.
        ValueError: the backend does not know the settings.
    """
    if (problem := backend_problem(name)) is not None:
        raise MissingRuntimeError(f"{graph.name}: {problem}.")
    backend = BACKENDS[name]
    package = backend.packages["cpu"]
    if unknown_settings(options.settings, backend.settings):
        unknown = ", ".join(said(options.settings))
        raise ValueError(f"{graph.name}: {name} has no settings {unknown} in this release.")
    try:
        session = backend.graph_opener()(graph, options)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package.module:
            raise
        raise MissingRuntimeError(
            f"{graph.name} needs {package.distribution}, which is not installed: {package.remedy}"
        ) from None
    if options.execution_precision not in (None, session.execution_precision):
        session.close()
        raise SelfTestError(
            f"{graph.name} should compute in {options.execution_precision}, but this machine computes in "
            f"{session.execution_precision}."
        )
    return session
