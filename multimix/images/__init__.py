"""One picture in: formats, reading, quality."""
