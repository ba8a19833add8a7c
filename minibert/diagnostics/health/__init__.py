"""What goes wrong in training, found and named."""
