"""All declared options together, of the host and of the plugins: which names are known where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from guardhooks.settings import action_options, daemon_options, jail_options
from guardhooks.settings.option import Option, OptionTable, Place

HOST_TABLES: Final = (
    daemon_options.GUARDHOOKS_TABLE,
    daemon_options.FAIL2BAN_CLIENTS_TABLE,
    daemon_options.LOG_TABLE,
    daemon_options.PLUGINS_TABLE,
    daemon_options.FAIL2BAN_TABLE,
    jail_options.FAIL2BAN_TABLE,
    jail_options.OWN_TABLE,
    jail_options.VARIABLES_TABLE,
    jail_options.IGNORECACHE_TABLE,
    jail_options.FILTER_TABLE,
    action_options.ACTION_TABLE,
    action_options.COMMANDS,
)


class DeclaredOptions:
    """The tables of the host and of plugins.

    :param plugin_tables: None where the plugins are not known; then nothing is said about what only they could know.
    """

    def __init__(self, plugin_tables: Iterable[OptionTable] | None = None) -> None:
        self.knows_plugins = plugin_tables is not None
        self._plugin_tables = tuple(plugin_tables or ())
        self._names: dict[tuple[Place, str], frozenset[str]] = {}
        self.tables = (*HOST_TABLES, *self._plugin_tables)
        self.jail_names = self.names("jail")
        self.variables = frozenset(option.name for option in jail_options.VARIABLES_TABLE)
        self.daemon_names = self.names("guardhooks") | self.names("log") | self.names("plugins")
        self.prefixes = frozenset(name.partition(".")[0] for name in self.jail_names if "." in name)
        """What stands before the dot of `mail.digest`: these names belong to somebody who declares them."""

    def names(self, place: Place, of: str = "") -> frozenset[str]:
        """The options that may stand in a place, in the brackets of this action or filter."""
        known = self._names.get((place, of))
        if known is None:
            tables = [table for table in self.tables if table.applies_to(place, of)]
            known = self._names[place, of] = frozenset(option.name for table in tables for option in table)
        return known

    def action_names(self) -> frozenset[str]:
        """The actions for which plugins declare options."""
        return frozenset(name for table in self._plugin_tables if table.place == "action" for name in table.names)

    def plugin_options(self, place: Place, of: str = "") -> Iterator[Option[Any]]:
        """What plugins declare for a place, in the brackets of this action or filter."""
        return (option for table in self._plugin_tables if table.applies_to(place, of) for option in table)

    def is_served(self, action: str) -> bool:
        """Whether a plugin declares options for this very action."""
        return any(table.place == "action" and action in table.names for table in self._plugin_tables)
