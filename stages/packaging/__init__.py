"""What goes beside the variants: the model card, its plot, summary tables."""
