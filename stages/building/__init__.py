"""What the five building stages share."""
