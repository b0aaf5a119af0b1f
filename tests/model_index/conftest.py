"""The same Hub, project and command as the tests of publishing."""

from tests.hub_publish.conftest import command, hub, make_project, project

__all__ = ["command", "hub", "make_project", "project"]
