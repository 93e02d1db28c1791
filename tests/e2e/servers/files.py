"""FTP servers."""

from __future__ import annotations

from typing import Final

from tests.e2e.servers.model import CURL, Server, url

_LOGIN: Final = (*CURL, url("ftp", login="bob:bad"))

FILES: Final = (
    Server(
        jail="vsftpd",
        program="vsftpd",
        port=21,
        attempts=(_LOGIN,),
        files={
            "vsftpd.conf": """\
listen=YES
background=NO
local_enable=YES
anonymous_enable=NO
xferlog_enable=YES
xferlog_std_format=NO
secure_chroot_dir=/run/empty
pam_service_name=vsftpd
seccomp_sandbox=NO
"""
        },
        prepare="mkdir /run/empty; useradd ftp 2>/dev/null || true",
        command="vsftpd $PWD/vsftpd.conf",
    ),
    Server(
        jail="proftpd",
        program="proftpd",
        port=21,
        attempts=(_LOGIN,),
        files={
            "proftpd.conf": """\
ServerName test
DefaultAddress 192.0.2.1
ServerType standalone
Port 21
User nobody
Group nogroup
SystemLog /var/log/proftpd/proftpd.log
ScoreboardFile /run/proftpd/scoreboard
PidFile /run/proftpd/pid
WtmpLog off
DelayTable none
"""
        },
        prepare="mkdir -p /run/proftpd /var/log/proftpd",
        command="proftpd -c $PWD/proftpd.conf; exec tail --pid=$(cat /run/proftpd/pid) -f /dev/null",
    ),
    Server(
        jail="pure-ftpd",
        program="pure-ftpd",
        port=21,
        attempts=(_LOGIN,),
        command="pure-ftpd -S 21 -l unix -H",
    ),
)
