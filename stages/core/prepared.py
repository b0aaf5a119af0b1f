"""Calls `environment.prepare`. The process that children are forked from imports this first."""

from stages.core import environment

environment.prepare(online=False)
