"""The templates, and the files that a page needs beside it."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from stages.site import wording

HERE = Path(__file__).parent
ASSETS = HERE / "assets"
# No page loads anything but its own files. Styles and scripts are files as well, so that nothing inline may run.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'"
)
FILTERS = (
    wording.metric,
    wording.times,
    wording.percent,
    wording.small,
    wording.size,
    wording.seconds,
    wording.short,
)


@cache
def environment(*more: Path) -> Environment:
    """Everything is escaped, and a name that a template misspells is an error. `more` are further folders with
    templates, which go first."""
    found = Environment(
        loader=FileSystemLoader([*more, HERE / "templates"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters |= {each.__name__: each for each in FILTERS}
    found.filters["json"] = lambda value: json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    found.globals |= {"measured": wording.measured, "limit": wording.limit, "policy": POLICY}
    return found


def render(template: str, values: Mapping[str, Any]) -> bytes:
    """One page as bytes."""
    return environment().get_template(template).render(values).encode()


def script(call: str, value: Any) -> bytes:
    """Data as a script that calls `call` with it: a page that was opened from a disk may load scripts and no JSON."""
    return f"{call}({json.dumps(value, separators=(',', ':'), sort_keys=True)});\n".encode()
