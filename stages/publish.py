"""Stage `publish`: what passed, with its manifest, to the target of params.yaml: whole or not at all."""

from stages.core.params import load_params
from stages.publishing import channels, to_folder, to_hub
from stages.publishing.package import load_package
from stages.records.receipts import write_receipt

TARGETS = {"folder": to_folder.publish, "hub": to_hub.publish}


def run(slug: str, dry_run: bool = False, overwrite: bool = False) -> None:
    """Publish, write the receipt, and enter the candidate into the index. A dry run says what would be done.

    Raises PublishError; the target then holds what it held before.
    """
    params = load_params().publish
    receipt = TARGETS[params.target](load_package(slug), dry_run=dry_run, overwrite=overwrite)
    if receipt is not None:
        write_receipt(receipt)
        channels.enter(receipt)
