"""Configuration: fail2ban's INI dialect goes in, frozen `Jail`s come out. Nothing else reads configuration files."""

from guardhooks.settings import option_types
from guardhooks.settings.brackets import parse_brackets
from guardhooks.settings.catalogue import Service, about_filter, catalogue, examples
from guardhooks.settings.daemon import read_daemon
from guardhooks.settings.effective import EffectiveSection, effective_daemon, effective_jails
from guardhooks.settings.load import find_directory, jail_names, load, load_filter, load_jail
from guardhooks.settings.model import Settings
from guardhooks.settings.times import parse_duration

__all__ = [
    "EffectiveSection",
    "Service",
    "Settings",
    "about_filter",
    "catalogue",
    "effective_daemon",
    "effective_jails",
    "examples",
    "find_directory",
    "jail_names",
    "load",
    "load_filter",
    "load_jail",
    "option_types",
    "parse_brackets",
    "parse_duration",
    "read_daemon",
]
