"""`build` and `fleet`: every model that is not up to date, each in a workspace of its own."""

from stages.commands.other_classes import prove_on
from stages.core.errors import UsageError
from stages.fleet.driver import Wish, run
from stages.fleet.ray_cluster import Cluster


def build(slug: list[str], *, push: bool, publish: bool) -> None:
    """One after the other on this machine. What `dvc repro` builds, in time that grows with the number of models."""
    run(Wish(slugs=tuple(slug), target="publish" if publish else "pack", with_remote=push))


def fleet(
    slug: list[str],
    *,
    ray: str | None,
    share: int,
    host_class: str | None,
    classes: str | None,
    resume: bool,
    publish: bool,
) -> None:
    """On the machines of a Ray cluster; publishing happens here, one model after the other."""
    cluster = Cluster(address=ray, share=share, host_class=host_class)
    others = [name.strip() for name in classes.split(",")] if classes else []
    if others and (host_class is None or host_class in others or not all(others)):
        raise UsageError(
            "--classes: expected Ray resources with commas between, and --host-class with another one: that class "
            "builds, the others only prove."
        )
    wish = Wish(slugs=tuple(slug), target="pack", cluster=cluster, resume=resume)
    run(wish)
    if others and prove_on(wish, others):
        run(wish)  # what was added is packed
    if publish:
        run(Wish(slugs=tuple(slug), target="publish", with_remote=True, single=True))
