"""Databases and directories."""

from __future__ import annotations

from typing import Final

from tests.e2e.servers.model import SERVER, Server

_CLUSTER: Final = "/tmp/srv/data"

DATABASES: Final = (
    Server(
        jail="mysqld-auth",
        program="mariadbd",
        port=3306,
        attempts=(("mariadb", "--no-defaults", "--skip-ssl", "-h", SERVER[4], "-u", "bob", "-pbad", "-e", "select 1"),),
        prepare="mkdir -p data /run/mysqld /var/log/mysql; chown mysql: data /run/mysqld /var/log/mysql\n"
        "mysql_install_db --no-defaults --user=mysql --datadir=$PWD/data >/dev/null\n"
        "echo \"CREATE USER bob IDENTIFIED BY 'good';\" >users.sql",
        command="mariadbd --no-defaults --user=mysql --datadir=$PWD/data --socket=$PWD/data/socket "
        "--bind-address=0.0.0.0 --log-error=/var/log/mysql/error.log --log-warnings=2 --skip-name-resolve "
        "--init-file=$PWD/users.sql",
    ),
    Server(
        jail="postgresql",
        program="psql",
        port=5432,
        attempts=(("env", "PGPASSWORD=bad", "psql", "-h", SERVER[4], "-U", "postgres", "-c", "select 1"),),
        prepare="mkdir -p data /run/postgresql /var/log/postgresql\n"
        "chown postgres: data /run/postgresql /var/log/postgresql\n"
        "bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)\n"
        "echo good >password\n"
        f'su postgres -s /bin/sh -c "$bin/initdb -A scram-sha-256 --pwfile=/tmp/srv/password {_CLUSTER}"\n'
        f"echo 'host all all 0.0.0.0/0 scram-sha-256' >>{_CLUSTER}/pg_hba.conf",
        command=f"exec su postgres -s /bin/sh -c \"$bin/postgres -D {_CLUSTER} -c listen_addresses='*' "
        "-c log_line_prefix='%m [%p] %h ' -c logging_collector=on -c log_directory=/var/log/postgresql "
        '-c log_filename=postgresql-15-main.log"',
    ),
    Server(
        jail="slapd",
        program="slapd",
        port=389,
        attempts=(("ldapwhoami", "-x", "-H", f"ldap://{SERVER[4]}", "-D", "cn=admin,dc=example,dc=org", "-w", "bad"),),
        files={
            "slapd.conf": """\
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
loglevel stats
database mdb
suffix "dc=example,dc=org"
rootdn "cn=admin,dc=example,dc=org"
rootpw good
directory /tmp/srv/ldap
"""
        },
        prepare="mkdir ldap",
        command="slapd -d 0 -h ldap:/// -f $PWD/slapd.conf",
    ),
)
