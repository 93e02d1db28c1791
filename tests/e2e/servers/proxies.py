"""Proxies and load balancers."""

from __future__ import annotations

from typing import Final

from tests.e2e.servers.model import CURL, SERVER, TALK, Server, url

_CERTIFICATE: Final = (
    "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x -keyout key.pem -out cert.pem -days 9; "
    "cat cert.pem key.pem >both.pem"
)

PROXIES: Final = (
    Server(
        jail="haproxy-http-auth",
        program="haproxy",
        port=80,
        attempts=((*CURL, "--user", "bob:bad", url("http")),),
        files={
            "haproxy.cfg": """\
global
    log /dev/log local0
defaults
    mode http
    log global
    option httplog
    timeout client 2s
    timeout server 2s
    timeout connect 2s
userlist people
    user bob insecure-password good
frontend main
    bind :80
    http-request auth unless { http_auth(people) }
"""
        },
        command="haproxy -db -f $PWD/haproxy.cfg",
    ),
    Server(
        jail="squid",
        program="squid",
        port=3128,
        attempts=((*CURL, "--proxy", url("http", login="bob:bad", port=3128), "http://www.example.com/"),),
        files={
            "squid.conf": """\
http_port 3128
auth_param basic program /usr/lib/squid/basic_ncsa_auth /tmp/srv/passwords
acl people proxy_auth REQUIRED
http_access allow people
http_access deny all
access_log stdio:/var/log/squid/access.log
cache_log /var/log/squid/cache.log
pid_filename none
visible_hostname x
""",
            "passwords": "bob:$1$xyz$UiG0xIhZ6rTcSl0dVgJVn/",
        },
        prepare="mkdir -p /var/log/squid; chown proxy:proxy /var/log/squid",
        command="squid -N -f $PWD/squid.conf",
    ),
    Server(
        jail="dante",
        program="danted",
        port=1080,
        attempts=((*TALK, "1080", r"\x05\x01\x02", r"\x01\x05games\x03bad"),),
        files={
            "danted.conf": f"""\
logoutput: /var/log/danted.log
internal: {SERVER[4]} port = 1080
external: {SERVER[4]}
clientmethod: none
socksmethod: username
user.privileged: root
user.unprivileged: nobody
client pass {{
    from: 0.0.0.0/0 to: 0.0.0.0/0
    log: error connect disconnect
}}
socks pass {{
    from: 0.0.0.0/0 to: 0.0.0.0/0
    log: error connect
}}
"""
        },
        command="danted -f $PWD/danted.conf",
    ),
    Server(
        jail="stunnel",
        program="stunnel",
        port=8444,
        attempts=((*TALK, "8444", r"GET / HTTP/1.1\r\n\r\n"), (*TALK, "--tls", "8444", "x")),
        files={
            "stunnel.conf": """\
foreground = yes
pid =
output = /var/log/stunnel4/stunnel.log
debug = 5
[test]
accept = 8444
connect = 127.0.0.1:1
cert = /tmp/srv/both.pem
verifyPeer = yes
CAfile = /tmp/srv/cert.pem
"""
        },
        prepare=f"mkdir -p /var/log/stunnel4; {_CERTIFICATE}",
        command="stunnel $PWD/stunnel.conf",
    ),
)
