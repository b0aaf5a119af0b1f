"""Metrics and thresholds that this package itself reads, by name. A task defines others."""

QUALITY_RATIO = "quality_ratio"
"""Quality on labelled data over the reference's: a threshold, and a metric of the records where it was measured."""
LENGTH_METRIC = "length_score_max_abs"
"""The largest difference of a score from the reference at any length; no record before schema 2.1 has it."""
PROCESS_METRIC = "process_score_max_abs"
"""The largest difference of a score between two processes; null where there was one."""
