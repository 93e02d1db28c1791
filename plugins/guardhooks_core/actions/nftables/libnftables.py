"""libnftables in process, by ctypes: commands as JSON, no process is started.

Format: `libnftables-json(5)`. A context lives for one call, so nothing is shared between threads or namespaces, and
its cache of the kernel's rules is never stale. It only builds: reading is done by netlink, since a listing by
libnftables reads all elements of all sets, even those that it does not print.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, TypeAlias

from guardhooks import ActionError, safe_text
from guardhooks_core.actions.firewall.errors import NEEDS_PRIVILEGE, PrivilegeError, ToolMissingError
from guardhooks_core.actions.firewall.nftables_monitor import count_transaction

Command: TypeAlias = Mapping[str, object]

_LIBRARY: Final = "libnftables.so.1"
_JSON, _TERSE = 1 << 4, 1 << 11


class NotSupportedError(ActionError):
    """The kernel cannot do what a command asks for."""


def run(commands: Sequence[Command]) -> None:
    """Execute commands in one transaction, all or none.

    :raises ActionError: when libnftables is missing, or it or the kernel refuses.
    """
    library = _library()
    context = library.nft_ctx_new(0)
    if not context:
        raise ActionError("libnftables: no memory")
    try:
        library.nft_ctx_output_set_flags(context, _JSON | _TERSE)
        library.nft_ctx_buffer_output(context)
        library.nft_ctx_buffer_error(context)
        code = library.nft_run_cmd_from_buffer(context, json.dumps({"nftables": commands}).encode())
        problem = library.nft_ctx_get_error_buffer(context) or b""
    finally:
        library.nft_ctx_free(context)
    if code:
        raise _error(problem.decode(errors="replace"))
    count_transaction()


def require() -> None:
    """Read the names of the tables, to see whether library and kernel are there.

    :raises ActionError: when one of them is missing, or refuses.
    """
    run([{"list": {"tables": {"family": "inet"}}}])


def _error(text: str) -> ActionError:
    said = safe_text(" ".join(text.split()), 300) or "refused without a reason"
    if "Operation not permitted" in said or "Permission denied" in said:
        return PrivilegeError(f"nftables {NEEDS_PRIVILEGE}")
    if "Operation not supported" in said:
        return NotSupportedError(f"nftables: {said}")
    if "JSON support not compiled" in said or "Protocol not supported" in said or "Address family not" in said:
        return ToolMissingError(f"nftables: {said}")
    return ActionError(f"nftables: {said}")


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        raise ToolMissingError(f"{_LIBRARY} is not installed: install libnftables, or use banaction = ipset") from None
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "nft_ctx_new": (ctypes.c_void_p, [ctypes.c_uint32]),
        "nft_ctx_free": (None, [ctypes.c_void_p]),
        "nft_ctx_output_set_flags": (None, [ctypes.c_void_p, ctypes.c_uint]),
        "nft_ctx_buffer_output": (ctypes.c_int, [ctypes.c_void_p]),
        "nft_ctx_buffer_error": (ctypes.c_int, [ctypes.c_void_p]),
        "nft_ctx_get_error_buffer": (ctypes.c_char_p, [ctypes.c_void_p]),
        "nft_run_cmd_from_buffer": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_char_p]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
