"""The command of a card's "Use": it installs what exists."""

from artificer.manifest import Manifest
from stages.packaging.front_matter import passed_variants


def install_line(manifest: Manifest, address: str | None) -> str:
    """`pip install` of the runtime with the extras that the published variants need.

    `address` is `publish.install` of params.yaml: what pip takes behind the `@` of a requirement.
    """
    extras = ",".join([*sorted({variant.runtime for variant in passed_variants(manifest)}), "hub"])
    if address is None:
        return f'pip install ".[{extras}]"  # in a clone of Artificer'
    return f'pip install "artificer[{extras}] @ {address}"'
