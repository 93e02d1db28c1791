"""Words a proposal as a jail.local that explains itself."""

from __future__ import annotations

from collections.abc import Sequence

from guardhooks.setup.evidence import Evidence
from guardhooks.setup.proposal import Proposal
from guardhooks.text import safe_text

_HEAD = """\
# jail.local: what this machine wants to be different from jail.conf. Written by `guardhooks init`; it is yours now.
#
# A later file wins, key by key, so nothing needs to be repeated here. `guardhooks services` lists what else can be
# switched on, `guardhooks services NAME` shows one. After a change: `guardhooks reload`.

[DEFAULT]

# Who is never banned, beside this machine itself.
{peers}{networks}ignoreip ={addresses}

# Who comes back is kept out longer each time: 10m, 20m, 40m, ... up to bantime.maxtime.
bantime.increment = true
"""
_SECTION = """
[{name}]
# {about}
# Proposed because {why}.{reads}
enabled = true
"""


def jail_local(proposals: Sequence[Proposal], evidence: Evidence) -> str:
    """The text of a jail.local that switches these jails on and every other one off."""
    parts = [_head(evidence), *map(_section, proposals)]
    if "sshd" not in {each.service.name for each in proposals}:
        parts.append("\n[sshd]\n# No ssh server was found here.\nenabled = false\n")
    return "".join(parts)


def _head(evidence: Evidence) -> str:
    peers = ", ".join(evidence.ssh_peers)
    networks = ", ".join(evidence.networks)
    return _HEAD.format(
        peers=f"# {peers}: the ssh session in which this was written. Take it out if it is not yours for long.\n"
        if peers
        else "",
        networks=f"# {networks}: private networks that this machine is part of.\n" if networks else "",
        addresses="".join(f" {each}" for each in (*evidence.ssh_peers, *evidence.networks)),
    )


def _section(proposal: Proposal) -> str:
    logs = " ".join(safe_text(log, 500) for log in proposal.logs)
    reads = (
        f"\n# It reads {logs}."
        if logs
        else "\n# None of its logs is here yet: it waits for them, or reads the journal."
    )
    about = safe_text(proposal.service.about, 500)
    text = _SECTION.format(name=proposal.service.name, about=about, why=safe_text(proposal.why, 500), reads=reads)
    return text + (f"port = {proposal.port}\n" if proposal.port else "")
