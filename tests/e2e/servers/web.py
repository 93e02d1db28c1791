"""Web servers, and monit, which is one, too."""

from __future__ import annotations

from typing import Final

from tests.e2e.servers.model import CURL, Server, url

_LOGIN: Final = (*CURL, "--user", "bob:bad", url("http", "/private/"))
_PASSWORDS: Final = "bob:$1$xyz$UiG0xIhZ6rTcSl0dVgJVn/"
_NGINX: Final = """\
daemon off;
pid /run/nginx.pid;
error_log /var/log/nginx/error.log;
events {}
http {
    access_log /var/log/nginx/access.log combined;
    limit_req_zone $binary_remote_addr zone=one:1m rate=1r/m;
    server {
        listen 80;
        root /tmp/srv;
        location /private/ { auth_basic x; auth_basic_user_file /tmp/srv/passwords; }
        location /denied/ { deny all; }
        location /slow/ { limit_req zone=one; }
    }
}
"""
_APACHE: Final = """\
ServerRoot /etc/apache2
Include /etc/apache2/mods-enabled/*.load
ServerName www.example.org
Listen 80
PidFile /run/apache2.pid
DefaultRuntimeDir /run
ErrorLog /var/log/apache2/error.log
LogLevel info
LogFormat "%h %l %u %t \\"%r\\" %>s %O \\"%{Referer}i\\" \\"%{User-Agent}i\\"" combined
CustomLog /var/log/apache2/access.log combined
DocumentRoot /tmp/srv
TypesConfig /dev/null
User www-data
Group www-data
<Directory /tmp/srv>
Require all granted
</Directory>
<Location /private/>
AuthType Basic
AuthName x
AuthUserFile /tmp/srv/passwords
Require valid-user
</Location>
"""
_LIGHTTPD: Final = """\
server.document-root = "/tmp/srv"
server.port = 80
server.errorlog = "/var/log/lighttpd/error.log"
server.modules = ("mod_auth", "mod_authn_file")
auth.backend = "htpasswd"
auth.backend.htpasswd.userfile = "/tmp/srv/passwords"
auth.require = ("/private/" => ("method" => "basic", "realm" => "x", "require" => "valid-user"))
"""


def _nginx(jail: str, *attempt: str) -> Server:
    return Server(
        jail=jail,
        program="nginx",
        port=80,
        attempts=(attempt,),
        files={"nginx.conf": _NGINX, "passwords": _PASSWORDS},
        prepare="mkdir -p /var/log/nginx",
        command="nginx -c $PWD/nginx.conf",
        rounds=5,
    )


def _apache(jail: str, *attempt: str) -> Server:
    return Server(
        jail=jail,
        program="apache2",
        port=80,
        attempts=(attempt,),
        files={"apache.conf": _APACHE, "passwords": _PASSWORDS},
        prepare="mkdir -p /var/log/apache2",
        command="apache2 -DFOREGROUND -f $PWD/apache.conf",
        rounds=5,
    )


WEB: Final = (
    _nginx("nginx-http-auth", *_LOGIN),
    _nginx("nginx-forbidden", *CURL, url("http", "/denied/")),
    _nginx("nginx-limit-req", *CURL, url("http", "/slow/")),
    _nginx("nginx-botsearch", *CURL, url("http", "/phpmyadmin/")),
    _nginx("web-secrets", *CURL, url("http", "/.env")),
    _apache("apache-auth", *_LOGIN),
    _apache("web-scanner", *CURL, url("http", "/cgi-bin/../../../../etc/passwd"), "--path-as-is"),
    _apache("web-badbots", *CURL, "--user-agent", "sqlmap/1.8", url("http")),
    Server(
        jail="lighttpd-auth",
        program="lighttpd",
        port=80,
        attempts=(_LOGIN,),
        files={"lighttpd.conf": _LIGHTTPD, "passwords": _PASSWORDS},
        prepare="mkdir -p /var/log/lighttpd",
        command="lighttpd -D -f $PWD/lighttpd.conf",
    ),
    Server(
        jail="monit",
        program="monit",
        port=2812,
        attempts=((*CURL, "--user", "bob:bad", url("http", port=2812)),),
        files={
            "monitrc": """\
set daemon 30
set log /var/log/monit.log
set pidfile /run/monit.pid
set idfile /run/monit.id
set statefile /run/monit.state
set httpd port 2812
    allow bob:good
"""
        },
        prepare="chmod 600 monitrc",
        command="monit -I -c $PWD/monitrc",
    ),
)
