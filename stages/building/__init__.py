"""What the building stages share."""
