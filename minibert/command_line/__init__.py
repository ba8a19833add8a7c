"""The words of a command line: what they may be, what they mean, and what is answered."""
