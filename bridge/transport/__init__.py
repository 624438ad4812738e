"""Messages over Redis, which may lose, duplicate, delay or reorder any of them. Only this folder imports redis."""
