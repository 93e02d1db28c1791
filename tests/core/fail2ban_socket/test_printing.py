"""What fail2ban's later clients print, which Debian's cannot be compared with."""

from __future__ import annotations

from guardhooks_core.fail2ban_socket.printing import printed

JAIL = [
    ["Filter", [["Currently failed", 0], ["Total failed", 9], ["File list", ["/var/log/a.log", "/var/log/b.log"]]]],
    ["Actions", [["Currently banned", 1], ["Total banned", 3], ["Banned IP list", ["192.0.2.1"]]]],
]


def test_the_status_of_all_jails_is_a_tree() -> None:
    value = [["Number of jail", 2], ["Jail list", "j1, j2"], {"j1": JAIL, "j2": JAIL}]
    assert printed(["status", "--all"], value).splitlines()[:14] == [
        "Status",
        "|- Number of jail:\t2",
        "|- Jail list:\tj1, j2",
        "`- Status for the jails: ",
        "   |- Jail: j1",
        "   |  |- Filter",
        "   |  |  |- Currently failed:\t0",
        "   |  |  |- Total failed:\t9",
        "   |  |  `- File list:\t/var/log/a.log /var/log/b.log",
        "   |  `- Actions",
        "   |     |- Currently banned:\t1",
        "   |     |- Total banned:\t3",
        "   |     `- Banned IP list:\t192.0.2.1",
        "   `- Jail: j2",
    ]


def test_statistics_are_a_table() -> None:
    assert printed(["stats"], {"j1": ["polling", [0, 9], [3, 3]]}).splitlines() == [
        "          ║          ║ Filter    ║ Actions  ",
        " Jail     ║ Backend  ╟───────────╫───────────",
        "          ║          ║ cur │ tot ║ cur │ tot",
        "══════════╬══════════╬═══════════╬═══════════",
        " j1       ║ polling  ║   0 │   9 ║   3 │   3",
        "══════════╩══════════╩═══════════╩═══════════",
    ]
    assert printed(["statistics"], {}) == "No jails found."
