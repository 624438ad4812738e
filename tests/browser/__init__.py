"""The dashboard in a real Chromium. Skipped where there is none; scripts/install-browser.sh installs it."""
