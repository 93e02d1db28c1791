"""Loads single modules of pyroute2 without the rest of it.

`pyroute2/__init__.py` imports the whole library: 200 modules, 11 MB, 0.15 s of the processor. The package is therefore
registered by its import specification and not executed; what is imported from below it loads as usual. Whoever asks the
package itself for a name (`pyroute2.IPRoute`, `from pyroute2 import IPRoute`) gets the whole library after all.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from types import ModuleType
from typing import Final

_PACKAGE: Final = "pyroute2"
_PUBLIC_DUNDERS: Final = frozenset({"__all__", "__version__"})
"""Other names of that form are asked for by Python itself, which must not load the library."""

_lock = threading.RLock()


def prepare_pyroute2() -> None:
    """Call this before `from pyroute2.MODULE import NAME`; a no-op once any part of pyroute2 is loaded. For any thread.

    :raises ModuleNotFoundError: when pyroute2 is not installed.
    """
    with _lock:
        if _PACKAGE in sys.modules:
            return
        spec = importlib.util.find_spec(_PACKAGE)
        if spec is None or spec.loader is None:
            raise ModuleNotFoundError(f"No module named {_PACKAGE!r}", name=_PACKAGE)
        package = importlib.util.module_from_spec(spec)
        vars(package)["__getattr__"] = _LazyNames(package)
        sys.modules.setdefault(_PACKAGE, package)


class _LazyNames:
    """Finds what the package was asked for and does not have yet (PEP 562): a module of it, or all of it."""

    def __init__(self, package: ModuleType) -> None:
        self._package = package
        self._executed = False

    def __call__(self, name: str) -> object:
        if not name.startswith("__"):
            try:
                return importlib.import_module(f"{_PACKAGE}.{name}")
            except ModuleNotFoundError as error:
                if error.name != f"{_PACKAGE}.{name}":
                    raise
        if not name.startswith("__") or name in _PUBLIC_DUNDERS:
            self._execute()
        try:
            return vars(self._package)[name]
        except KeyError:
            raise AttributeError(f"module {_PACKAGE!r} has no attribute {name!r}") from None

    def _execute(self) -> None:
        with _lock:
            if self._executed:
                return
            self._executed = True
            spec = self._package.__spec__
            assert spec is not None
            assert spec.loader is not None
            spec.loader.exec_module(self._package)
