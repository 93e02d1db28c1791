"""`ignorecommand`: a shell command of the administrator that is run for each failure.

Log text never becomes part of the command: see `guardhooks.shell_script`, which the commands of actions use as well.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from guardhooks import CachedLookups, ConfigError, Failure, ShellScript, shell_script

TIMEOUT: Final = 5.0
"""Seconds that the command may take, what is looked up for it included."""
_KILL_TIME: Final = 0.5
"""Seconds to wait for the end of a command that was killed."""
_TAG: Final = re.compile(r"<([A-Za-z][\w-]*)>")

_host_names: Final = CachedLookups(lambda address: socket.gethostbyaddr(address)[0], "")


async def ignores(command: str, failure: Failure, timeout: float = TIMEOUT) -> bool:  # noqa: ASYNC109
    """Whether the command exits with 0; after `timeout` seconds it is killed.

    :raises TimeoutError: when it took too long. :raises ConfigError: when it exits with something other than 0 and 1.
    """
    async with asyncio.timeout(timeout):
        status = await _status(shell_script(command, (await tag_values(command, failure)).get))
    if status not in (0, 1):
        raise ConfigError(f"ignorecommand ended with status {status}; the failure counts")
    return status == 0


async def _status(script: ShellScript) -> int:
    process = await asyncio.create_subprocess_exec(
        *script.argv,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        env=script.environment, start_new_session=True,
    )  # fmt: skip
    try:
        return await process.wait()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with suppress(TimeoutError):  # one that the kernel holds ends later
                await asyncio.wait_for(process.wait(), _KILL_TIME)


async def tag_values(text: str, failure: Failure) -> dict[str, str]:
    """The raw values of the tags in `text`; unknown tags have none, unknown `<F-…>` are empty."""
    names = dict.fromkeys(_TAG.findall(text))
    plain = _plain_values(failure)
    values = {name: plain[name]() if name in plain else _field(name, failure) for name in names}
    if "ip-host" in names:
        values["ip-host"] = await _host_names.get(failure.address) if failure.address else ""
    return {name: value for name, value in values.items() if value is not None}


def _plain_values(failure: Failure) -> dict[str, Callable[[], str]]:
    return {
        "ip": lambda: failure.address or failure.id,
        "fid": lambda: failure.id,
        "family": lambda: ("inet6" if ":" in failure.address else "inet4") if failure.address else "",
        "ip-rev": lambda: _reversed(failure.address),
        "failures": lambda: "1",
        "time": lambda: str(failure.time),
        "matches": lambda: "\n".join(failure.matches),
    }


def _field(tag: str, failure: Failure) -> str | None:
    if not tag.startswith("F-"):
        return None
    value = failure.fields.get(tag.removeprefix("F-").lower(), "")
    return "".join(part or "" for part in value) if isinstance(value, tuple) else value or ""


def _reversed(address: str) -> str:
    if not address:
        return ""
    return ipaddress.ip_address(address).reverse_pointer.removesuffix("in-addr.arpa").removesuffix("ip6.arpa")
