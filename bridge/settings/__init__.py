"""All settings, and what is said about names that are none."""

from bridge.settings.names import given_names, likely_typos, names_not_read
from bridge.settings.settings import SAMPLE_JWT_SECRET, Settings, load_settings

__all__ = ["SAMPLE_JWT_SECRET", "Settings", "given_names", "likely_typos", "load_settings", "names_not_read"]
