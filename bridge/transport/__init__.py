"""The road: messages over Redis. It may lose, double, delay or reorder any of them."""
