"""Stage `publish`: what passed, with its manifest, to the target of params.yaml: whole or not at all."""

from stages.core.errors import UsageError
from stages.core.params import load_params
from stages.publishing import channels, signatures, to_folder, to_hub
from stages.publishing.package import load_package
from stages.records.receipts import write_receipt
from stages.registry.model_list import load_entry

TARGETS = {"folder": to_folder, "hub": to_hub}


def run(slug: str, dry_run: bool = False, overwrite: bool = False, sign: bool = False) -> None:
    """Publish, write the receipt, and enter the candidate into the index. A dry run says what would be done.

    What is published is signed where `publish.signing` says by whom; with `sign` it is not published without.

    Raises PublishError; the target then holds what it held before.
    """
    params = load_params().publish
    target = TARGETS[params.target]
    package = load_package(slug)
    if sign and params.signing is None:
        raise UsageError("params.yaml: publish.signing: nobody is named who signs. Set it to {key: FILE}, for example.")
    if params.signing is not None:
        if params.target == "folder" or load_entry(slug).publish.contents == "package":
            package = signatures.sign(package, params.signing, target.held_signature(package), dry_run=dry_run)
        else:
            print(f"{slug}: not signed: the other files of {package.repo} belong to somebody else")
    receipt = target.publish(package, dry_run=dry_run, overwrite=overwrite)
    if receipt is not None:
        write_receipt(receipt)
        channels.enter(receipt)
