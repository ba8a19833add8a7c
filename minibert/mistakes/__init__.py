"""Classic mistakes in networks and optimizers, each put into the code on purpose, and the checks that see them."""
