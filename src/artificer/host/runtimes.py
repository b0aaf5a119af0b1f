"""Which runtimes are installed, from their metadata alone."""

from importlib import metadata

from artificer.backends import BACKENDS


def installed_runtimes(with_gpu: bool = False) -> dict[str, str]:
    """Name to version of the backends' packages that are installed; `with_gpu` those for GPUs too.

    A package that another one replaces, as onnxruntime-gpu does onnxruntime, has the version of that one.
    """
    found: dict[str, str] = {}
    for backend in BACKENDS.values():
        for device, package in backend.packages.items():
            if device != "cpu" and not with_gpu:
                continue
            for distribution in (package.distribution, *package.replacements):
                try:
                    found[package.distribution] = metadata.version(distribution)
                    break
                except metadata.PackageNotFoundError:
                    continue
    return found
