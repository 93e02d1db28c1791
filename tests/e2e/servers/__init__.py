"""Real servers of Debian, each with the client that fails at it and the jail that must ban for that.

`model` says what a server is, `machine` runs one; the other modules list them, grouped by what they serve.
"""

from __future__ import annotations

from typing import Final

from tests.e2e.servers.databases import DATABASES
from tests.e2e.servers.files import FILES
from tests.e2e.servers.mail import MAIL
from tests.e2e.servers.model import Server
from tests.e2e.servers.network import NETWORK
from tests.e2e.servers.proxies import PROXIES
from tests.e2e.servers.talk import TALK
from tests.e2e.servers.web import WEB

SERVERS: Final[tuple[Server, ...]] = (*FILES, *MAIL, *WEB, *PROXIES, *DATABASES, *NETWORK, *TALK)
