"""`push`: send what was built to the DVC remote, so that other clones need not build it."""

from stages.core.errors import UsageError


def push() -> None:
    """Push the outputs of all stages, and the entries of the run-cache that the remote lacks."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    from stages.running.remote import push as send

    try:
        repo = Repo()
        repo.cloud.get_remote_odb(None, "push")
    except DvcException as error:
        raise UsageError(
            f"nothing can be pushed: {error}. `dvc remote add --default NAME URL` names a remote."
        ) from None
    with repo:
        sent = send(repo)
    print(f"pushed {sent.objects} objects and {sent.entries} entries of the run-cache")
