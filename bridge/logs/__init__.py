"""Log lines: their forms, their fields, and how a busy process writes them."""
