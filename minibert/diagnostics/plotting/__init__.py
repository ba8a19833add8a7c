"""What the figures of all subjects share."""
