"""A real Postgres and a real Redis from Python wheels, for development and tests. Never for production."""

from bridge.dev.embedded.stores import EmbeddedStores as EmbeddedStores
