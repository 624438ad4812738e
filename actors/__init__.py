"""The actors of this deployment. A worker imports this package (`dramatiq actors`), which imports every actor."""

from bridge.broker import connect_broker

connect_broker()

from actors.coding import session as session  # noqa: E402 -- an actor is bound to the current broker when its module is imported
