"""Terms whose loss changes no answer and no row, each with the reason. They are not tried."""

EQUIVALENT: dict[str, str] = {}
