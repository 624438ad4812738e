"""Messages over Redis, which may lose, double, delay or reorder any of them. Only this folder imports redis."""
