"""What a model computes: the table of tasks (`artificer.tasks.task`), and a module for each."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from artificer.tasks.task import TASKS, Task, task_of

__all__ = ["TASKS", "Task", "task_of"]

# Imported when first used: what computes differences of scores needs neither a tokenizer nor a session.
_LAZY = {"TASKS": "artificer.tasks.task", "Task": "artificer.tasks.task", "task_of": "artificer.tasks.task"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'artificer.tasks' has no attribute {name!r}")
