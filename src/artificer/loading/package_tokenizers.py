"""The tokenizer of a package, read when it is first needed."""

from artificer.inference.tokenization import TextTokenizer
from artificer.loading.location import Location


class Tokenizers:
    """`full` cuts at the model's maximum length, as for the golden samples. `own` cuts at the length that the caller
    requested, if that is shorter."""

    def __init__(self, location: Location, max_length: int | None):
        self._location = location
        own = location.manifest.max_length
        self._lengths = own, min(own, max_length or own)
        self._found: dict[int, TextTokenizer] = {}

    @property
    def full(self) -> TextTokenizer:
        """Raises ManifestError where there is none."""
        return self._of(self._lengths[0])

    @property
    def own(self) -> TextTokenizer:
        """Raises ManifestError where there is none."""
        return self._of(self._lengths[1])

    def _of(self, length: int) -> TextTokenizer:
        if length not in self._found:
            manifest = self._location.manifest
            self._found[length] = TextTokenizer.from_file(
                self._location.folder / manifest.tokenizer.file,
                manifest.tokenizer,
                max_length=length,
                inputs=manifest.inputs,
            )
        return self._found[length]
