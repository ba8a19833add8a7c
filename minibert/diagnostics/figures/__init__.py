"""The pictures of what diagnostics find, a file a room."""
