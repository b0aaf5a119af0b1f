"""Stage `fetch`: the pinned files of a model, compared with the lock; its resolved spec, and its recipes."""

from stages.core import files, paths
from stages.records.entry_recipes import write_recipes
from stages.records.model_spec import write_spec
from stages.registry import sources
from stages.registry.model_list import load_entry, load_lock
from stages.registry.spec_resolution import check_task_name, resolve


def run(slug: str) -> None:
    """Write `source/`, spec.json and `recipes/`. Raises RegistryError or SourceError, and writes nothing then."""
    entry = load_entry(slug)
    check_task_name(slug, entry)
    lock = load_lock(slug, entry)
    with files.staged_folder(paths.source(slug)) as folder:
        sources.fetch(lock, folder)
        model = resolve(slug, entry, lock, folder)
    write_spec(model)
    write_recipes(slug, entry.variants.recipes)
    print(
        f"{lock.location} at {lock.identity[:16]}: {model.architecture}, {model.parameters / 1e6:.1f} M parameters, "
        f"{len(model.labels)} label(s), {model.activation}, {model.max_length} tokens"
    )
