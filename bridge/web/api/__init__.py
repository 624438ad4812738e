"""The JSON API: what the pages show and do, for scripts. static/openapi.json describes it."""
