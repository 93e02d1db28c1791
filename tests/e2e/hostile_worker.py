"""Runs in a network namespace: a guard with one jail and one action bans hostile ids, and says how it went, as JSON.

`hostile_worker.py CONFIG STATE IDS`: IDS is a file with a JSON list of texts; its last one is an honest address.
"""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from pathlib import Path

from guardhooks import ConfigError, Guard
from guardhooks.logs import SafeFormatter
from guardhooks.plugins import Plugins
from guardhooks.settings import load
from guardhooks.status import to_dict

JAIL = "hostile"
LISTINGS = ("iptables-save", "ip6tables-save", "ipset save", "nft list ruleset", "ip route", "ip -6 route")


def kernel() -> str:
    """All rules, sets and routes."""
    return "".join(
        subprocess.run(command.split(), capture_output=True, text=True, check=False).stdout for command in LISTINGS
    )


async def settle(guard: Guard, ids: list[str]) -> dict[str, str]:
    """Wait until no ban is pending; the state of each."""
    async with asyncio.timeout(120):
        while "pending" in (states := {id: guard.enforcer.state(JAIL, id) for id in ids}).values():
            await asyncio.sleep(0.02)  # between two looks: nobody tells when the last action is through
    return states


async def main(config: str, state: str, ids: list[str]) -> dict[str, object]:
    guard = Guard(load(Path(config)), Plugins.load(), ledger_file=Path(state) / "ledger.sqlite3")
    await guard.start()
    for id in list(ids):
        try:
            await guard.failure(JAIL, id, fields={"user": id, "f-id": id}, text=id)
        except ConfigError:  # no text at all: the guard takes no such id
            ids.remove(id)
    states = await settle(guard, ids)
    during = kernel()
    guard.check_actions(JAIL)
    for id in ids:
        await guard.unban(id)
    status = to_dict(guard.jail_status(JAIL))
    await guard.stop(flush=True)
    return {"honest": states[ids[-1]], "banned": len(states), "during": during, "after": kernel(), "status": status}


if __name__ == "__main__":
    handler = logging.StreamHandler()
    handler.setFormatter(SafeFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.getLogger("guardhooks").addHandler(handler)
    config, state, file = sys.argv[1:]
    print(json.dumps(asyncio.run(main(config, state, json.loads(Path(file).read_text()))), default=str))
