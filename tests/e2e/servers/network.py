"""Remote logins, name servers, and what watches a machine."""

from __future__ import annotations

from typing import Final

from tests.e2e.servers.model import SERVER, TALK, Server

_SSH: Final = (
    *("sshpass", "-p", "bad", "ssh", "-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "ConnectTimeout=5"),
    *("-o", "UserKnownHostsFile=/dev/null", "-o", "NumberOfPasswordPrompts=1", "-l", "root", SERVER[4], "true"),
)

NETWORK: Final = (
    Server(
        jail="dropbear",
        program="dropbear",
        port=22,
        attempts=(_SSH,),
        prepare="dropbearkey -t ed25519 -f key",
        command="dropbear -F -r $PWD/key -p 22",
    ),
    Server(
        jail="named-refused",
        program="named",
        port=53,
        attempts=(("dig", "+tries=1", "+time=2", f"@{SERVER[4]}", "example.com", "AXFR"),),
        files={
            "named.conf": """\
options {
    directory "/tmp/srv";
    pid-file none;
    listen-on { any; };
    listen-on-v6 { none; };
    recursion no;
    dnssec-validation no;
    session-keyfile none;
};
controls {};
zone "example.com" { type primary; file "/tmp/srv/zone"; allow-transfer { none; }; };
logging {
    channel seen { file "/var/log/named/security.log"; print-time yes; print-category yes; print-severity yes; };
    category security { seen; };
};
""",
            "zone": "$TTL 60\n@ SOA ns. h. 1 1 1 1 1\n@ NS ns.",
        },
        prepare="mkdir -p /var/log/named; chmod 777 .",
        command="named -f -c $PWD/named.conf",
    ),
    Server(
        jail="nagios",
        program="nrpe",
        port=5666,
        attempts=((*TALK, "5666", "x"),),
        files={
            "nrpe.cfg": """\
server_port=5666
allowed_hosts=127.0.0.1
nrpe_user=nobody
nrpe_group=nogroup
pid_file=/run/nrpe.pid
command[x]=/bin/true
"""
        },
        command="nrpe -c $PWD/nrpe.cfg -f -n",
    ),
    Server(
        jail="xinetd-fail",
        program="xinetd",
        port=1111,
        attempts=((*TALK, "1111", "x"),),
        files={
            "xinetd.conf": f"""\
defaults
{{
    log_type = SYSLOG daemon info
    log_on_failure = HOST
}}
service test
{{
    type = UNLISTED
    port = 1111
    socket_type = stream
    wait = no
    user = root
    server = /bin/cat
    only_from = {SERVER[4]}
}}
"""
        },
        command="xinetd -dontfork -f $PWD/xinetd.conf",
    ),
)
