"""The command `mobvibe`, run as `python -m bridge`."""

import sys

from bridge.cli.command_line import main

if __name__ == "__main__":
    sys.exit(main())
