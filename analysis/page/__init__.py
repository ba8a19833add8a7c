"""The page of a report: one HTML file with its styles, its figures, its curves to explore and their script."""
