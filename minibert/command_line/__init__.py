"""The words of a command line: which are allowed, what they mean, and how they are answered."""
