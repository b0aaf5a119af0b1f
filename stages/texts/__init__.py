"""Where a model's texts come from: local files, data sets of the Hub, NanoBEIR; and the checks on them."""
