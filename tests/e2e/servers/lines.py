"""A client of line protocols, run as a script on the attacker's host: `lines.py HOST [--tls] PORT LINE…`.

Each line is sent after something was received, or after a second of silence; escapes such as `\\x05` are bytes.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys


def main(host: str, *words: str) -> None:
    tls = words[0] == "--tls"
    port, *lines = words[1:] if tls else words
    with socket.create_connection((host, int(port)), 5) as plain:
        connection = _encrypted(plain) if tls else plain
        for line in lines:
            connection.sendall(line.encode().decode("unicode_escape").encode("latin-1"))
            connection.settimeout(1.0)
            with contextlib.suppress(TimeoutError):
                if not connection.recv(4096):
                    return
        connection.settimeout(5.0)
        while connection.recv(4096):
            pass


def _encrypted(plain: socket.socket) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(plain)


if __name__ == "__main__":
    with contextlib.suppress(OSError):  # the ban may end the connection
        main(*sys.argv[1:])
