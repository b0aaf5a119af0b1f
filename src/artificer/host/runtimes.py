"""Which runtimes are installed, from their metadata alone."""

from artificer.backends import BACKENDS
from artificer.host.distributions import installed_versions


def installed_runtimes(with_gpu: bool = False) -> dict[str, str]:
    """Name to version of the backends' packages that are installed; `with_gpu` those for GPUs too.

    A package that another one replaces, as onnxruntime-gpu does onnxruntime, has the version of that one.
    """
    packages = [
        package
        for backend in BACKENDS.values()
        for device, package in backend.packages.items()
        if device == "cpu" or with_gpu
    ]
    known = installed_versions([name for each in packages for name in (each.distribution, *each.replacements)])
    found: dict[str, str] = {}
    for package in packages:
        for name in (package.distribution, *package.replacements):
            if name in known:
                found[package.distribution] = known[name]
                break
    return found
