"""The first import of a process that children are forked from: it calls `environment.prepare`."""

from stages.core import environment

environment.prepare(online=False)
