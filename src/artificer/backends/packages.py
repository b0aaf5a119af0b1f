"""The Python packages that backends need."""

from msgspec import Struct


class Package(Struct, frozen=True):
    """What pip installs for a backend on one kind of device.

    `module` is what Python imports, `extra` the extra of this package that installs it, `replacements` are other
    distributions that provide the same module.
    """

    distribution: str
    module: str
    extra: str
    replacements: tuple[str, ...] = ()

    @property
    def remedy(self) -> str:
        """The pip command that installs it."""
        return f"pip install 'artificer[{self.extra}]'"
