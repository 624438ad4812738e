"""Log lines: their formats, their fields, and how a busy process writes them."""
