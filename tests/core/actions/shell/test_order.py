"""Files run only where no plugin serves the name."""

from guardhooks import Jail
from guardhooks.plugins import Plugins


def test_plugins_that_serve_by_name_are_asked_before():
    rows = Plugins.load().report([Jail("jail")])
    asked = next([each["name"] for each in row["plugins"]] for row in rows if row["hook"] == "execute_action")
    for name in ("auto", "ipset", "nftables", "observe"):
        assert asked.index(name) < asked.index("shell")
