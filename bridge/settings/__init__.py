"""All settings, and what is said about names that are none."""

from bridge.settings.names import given_names, likely_typos
from bridge.settings.settings import Settings, load_settings
from bridge.settings.web_settings import SAMPLE_JWT_SECRET

__all__ = ["SAMPLE_JWT_SECRET", "Settings", "given_names", "likely_typos", "load_settings"]
