"""Chat and voice."""

from __future__ import annotations

from typing import Final

from tests.e2e.servers.model import TALK as SAY
from tests.e2e.servers.model import Server

_ZNC: Final = """\
Version = 1.8.2
<Listener l>
    Port = 6667
    IPv4 = true
    IPv6 = false
    SSL = false
</Listener>
LoadModule = adminlog
<User bob>
    Pass = plain#good
    Admin = true
</User>
"""

_MUMBLE_LOGIN: Final = (
    r"\x00\x00\x00\x00\x00\x04\x08\x80\x88\x04"
    r"\x00\x02\x00\x00\x00\x0e\x0a\x07mallory\x12\x03bad"
)
"""Messages Version (1.4.0) and Authenticate (user, password) of Mumble's protocol."""

TALK: Final = (
    Server(
        jail="murmur",
        program="murmurd",
        port=64738,
        attempts=((*SAY, "--tls", "64738", _MUMBLE_LOGIN),),
        files={"murmur.ini": "database=/tmp/srv/db.sqlite\nserverpassword=good\nice=\ndbus=\nlogfile=\n"},
        prepare="mkdir -p /var/log/mumble-server; chown mumble-server: . /var/log/mumble-server",
        command="murmurd -fg -ini $PWD/murmur.ini >>/var/log/mumble-server/mumble-server.log 2>&1",
    ),
    Server(
        jail="znc-adminlog",
        program="znc",
        port=6667,
        attempts=((*SAY, "6667", r"PASS bob:bad\r\nNICK x\r\nUSER x 0 * :x\r\n", r"QUIT\r\n"),),
        files={"znc.conf": _ZNC},
        prepare="mkdir -p /var/log/lib/znc/configs /var/lib/znc; cp znc.conf /var/log/lib/znc/configs; "
        "chown -R nobody /var/log/lib/znc; mount --bind /var/log/lib/znc /var/lib/znc",
        command="exec su nobody -s /bin/sh -c 'znc -f -d /var/lib/znc'",
    ),
)
