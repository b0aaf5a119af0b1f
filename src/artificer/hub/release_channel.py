"""Where a release of a model stands in an index."""

from typing import Literal

Channel = Literal["candidate", "stable"]
