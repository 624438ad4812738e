"""Messages over Redis, which may lose, double, delay or reorder any of them. redis is imported only here."""
