"""`python -I -S` this file: starts the daemon, without parent packages.

Or with an argument what serves daemons: `host` in a machine, `container` in a container, `relay` beside a worker.

`actors/__init__.py` would connect to Redis. So these stand in for the packages, with the same folders.
"""

import os
import sys
from types import ModuleType

folder = os.path.dirname(os.path.abspath(__file__))
name = "actors.coding.sandbox.daemon"
while name:
    package = ModuleType(name)
    package.__path__ = [folder]
    sys.modules[name] = package
    folder, name = os.path.dirname(folder), name.rpartition(".")[0]

if __name__ == "__main__":
    if sys.argv[1:2] == ["host"]:
        from actors.coding.sandbox.host import main
    elif sys.argv[1:2] == ["container"]:
        from actors.coding.sandbox.container import main
    elif sys.argv[1:2] == ["relay"]:
        from actors.coding.sandbox.docker.relay import main
    else:
        from actors.coding.sandbox.daemon.server import main
    main()
