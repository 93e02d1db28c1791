"""`fail2ban`: answers `fail2ban-client`, and whatever else speaks its protocol, by the daemon's own requests."""

from __future__ import annotations

from guardhooks import Ask, WireProtocol, hookimpl
from guardhooks_core.fail2ban_socket.protocol import Fail2banProtocol


@hookimpl(trylast=True)
def control_protocol(name: str, ask: Ask) -> WireProtocol | None:
    """Serve the socket that section `[Fail2ban]` names."""
    return Fail2banProtocol(ask) if name == "fail2ban" else None
