"""Single modules of pyroute2 without the library around them; each case in an interpreter of its own."""

from __future__ import annotations

import subprocess
import sys

PREPARE = """
import sys
from guardhooks import prepare_pyroute2
prepare_pyroute2()
"""


def run(script: str, *, prepare: str = PREPARE) -> str:
    command = [sys.executable, "-W", "error", "-c", prepare + script]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_module_is_loaded_without_the_rest_of_the_library() -> None:
    loaded = run("from pyroute2.ipset import AsyncIPSet; print(*sys.modules)").split()
    assert "pyroute2.ipset" in loaded
    assert {"pyroute2.ndb", "pyroute2.ipdb", "pyroute2.iproute", "unittest"}.isdisjoint(loaded)


def test_who_asks_the_package_gets_the_whole_library_with_the_same_classes() -> None:
    script = """
from pyroute2.ipset import AsyncIPSet
import pyroute2
from pyroute2 import IPRoute
print(pyroute2.AsyncIPSet is AsyncIPSet, IPRoute.__name__, "pyroute2.ndb" in sys.modules, bool(pyroute2.__version__))
"""
    assert run(script) == "True IPRoute True True"


def test_a_name_that_the_library_does_not_have_is_an_attribute_error() -> None:
    assert (
        run("import pyroute2; print(hasattr(pyroute2, 'nonsense'), hasattr(pyroute2, '__wrapped__'))") == "False False"
    )


def test_a_library_that_is_loaded_already_stays_as_it_is() -> None:
    script = "print(before is sys.modules['pyroute2'], before.IPRoute.__name__)"
    assert run(script, prepare=f"import pyroute2 as before{PREPARE}") == "True IPRoute"
