"""Programs that help to develop Artificer and are not part of the wheel."""
