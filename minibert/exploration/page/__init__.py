"""The page of the explorer: HTML, styles and scripts in one file."""
