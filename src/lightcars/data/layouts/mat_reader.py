"""Read variables of a .mat file in a process of its own: scipy's reader crashes on some corrupt files.

    python -P mat_reader.py FILE KEY     prints the variable as JSON, or {"error": ...}

It is run as a script, so that it loads nothing of this package.
"""

from __future__ import annotations

import json
import sys
from typing import Any

MAX_BYTES = 4 << 30
"""Address space of the process; the annotations of Stanford Cars need a tenth."""


def main(path: str, key: str) -> None:
    """Print the variable `key` of a file as JSON."""
    _limit_memory()
    try:
        import numpy as np
        from scipy.io import loadmat

        content = loadmat(path, squeeze_me=True, variable_names=[key])
        result: dict[str, Any] = (
            {"value": _plain(np.atleast_1d(content[key]))} if key in content else {"missing": True}
        )
    except Exception as error:  # scipy raises nearly anything for corrupt files
        result = {"error": f"{type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps(result))


def _plain(value: Any) -> Any:
    """Convert arrays to lists, structured elements to dictionaries, and everything else to JSON's types."""
    import numpy as np

    if isinstance(value, np.ndarray):
        if value.dtype.names:
            return [_plain(element) for element in value.reshape(-1)]
        return [_plain(element) for element in value.reshape(-1).tolist()]
    if isinstance(value, np.void) and value.dtype.names:
        return {name: _plain(value[name]) for name in value.dtype.names}
    if isinstance(value, np.generic):
        return _plain(value.item())
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = MAX_BYTES if hard == resource.RLIM_INFINITY else min(MAX_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main(*sys.argv[1:])
