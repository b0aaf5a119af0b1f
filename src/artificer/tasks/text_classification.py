"""Text classification: which labels apply to a pair of texts. One logit per label."""

from artificer.tasks.pair_model import PairModel, PairTask


class Classifier(PairModel):
    """A loaded classifier: `predict` gives a score per label, in the order of `labels`, as CrossEncoder does."""


class TextClassification(PairTask):
    """Any number of labels; the service holds a `Classifier`."""

    name = "text-classification"
    model_class = Classifier
