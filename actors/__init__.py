"""The actors of this deployment. `dramatiq actors` imports this package and finds them all."""

from bridge.broker import connect_broker

connect_broker()

from actors import coding as coding  # noqa: E402 -- actors bind to the broker when they are imported
