"""What the torch rows import. Imported once, in the process that theirs are forked from: three imports of torch and
transformers took longer than the benchmark of a small model. The seconds of the import count for each row all the same.
"""

import time

from stages.core import environment

_started = time.perf_counter()
with environment.hidden("sklearn"):
    import torch  # noqa: F401  # what transformers would import later
    import transformers

    transformers.AutoModelForSequenceClassification  # noqa: B018  # transformers imports a class when it is named
IMPORT_SECONDS = time.perf_counter() - _started
