"""The exceptions that guardhooks raises on purpose.

::

    GuardhooksError          anything a user can read and act on; never shown as a traceback
    ├── ConfigError          the configuration cannot be used as it stands
    ├── PluginError          a plugin was refused, or broke its contract
    ├── ActionError          an action could not do what it was asked; the ban is retried
    └── StateError           state folder, ledger file, socket: missing, foreign, damaged or in use
"""


class GuardhooksError(Exception):
    """Base of all; `str()` is one line that says what, where and what to do."""


class ConfigError(GuardhooksError):
    """The configuration cannot be used as it stands. The message names file, line, section and key."""


class PluginError(GuardhooksError):
    """A plugin was refused when it loaded, or broke its contract. The message names the plugin and the hook."""


class ActionError(GuardhooksError):
    """Raised by `execute_action` when the work could not be done. The bans are retried with back-off."""


class StateError(GuardhooksError):
    """The state folder, the ledger file or the control socket cannot be used."""
