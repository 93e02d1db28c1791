"""guardhooks: host intrusion prevention whose every stage is a plugin.

These names are the public interface, for plugins and for servers that embed the guard. They load on first use, so that
a client command does not pay for the daemon.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guardhooks.cli.connection import ask_daemon as ask_daemon
    from guardhooks.cli.options import daemon_options as daemon_options
    from guardhooks.control.arguments import ArgumentKind as ArgumentKind
    from guardhooks.control.peers import current_uid as current_uid
    from guardhooks.control.protocol import RequestError as RequestError
    from guardhooks.control.requests import Access as Access
    from guardhooks.control.requests import Argument as Argument
    from guardhooks.control.requests import Ask as Ask
    from guardhooks.control.requests import Request as Request
    from guardhooks.control.requests import Requests as Requests
    from guardhooks.control.transport import WireProtocol as WireProtocol
    from guardhooks.engine.guard import Guard as Guard
    from guardhooks.errors import ActionError as ActionError
    from guardhooks.errors import ConfigError as ConfigError
    from guardhooks.errors import GuardhooksError as GuardhooksError
    from guardhooks.errors import PluginError as PluginError
    from guardhooks.errors import StateError as StateError
    from guardhooks.findings import FailureLines as FailureLines
    from guardhooks.findings import Findings as Findings
    from guardhooks.findings import new_failure as new_failure
    from guardhooks.marker import hookimpl as hookimpl
    from guardhooks.marker import skip_first_time_offenders as skip_first_time_offenders
    from guardhooks.model import NO_FIELDS as NO_FIELDS
    from guardhooks.model import NO_OPTIONS as NO_OPTIONS
    from guardhooks.model import PERMANENT as PERMANENT
    from guardhooks.model import ActionSpec as ActionSpec
    from guardhooks.model import Ban as Ban
    from guardhooks.model import Chunk as Chunk
    from guardhooks.model import ConfigFinding as ConfigFinding
    from guardhooks.model import Escalation as Escalation
    from guardhooks.model import Failure as Failure
    from guardhooks.model import FilterSpec as FilterSpec
    from guardhooks.model import Finding as Finding
    from guardhooks.model import Ignore as Ignore
    from guardhooks.model import Jail as Jail
    from guardhooks.model import Level as Level
    from guardhooks.model import Op as Op
    from guardhooks.model import Outcome as Outcome
    from guardhooks.model import Position as Position
    from guardhooks.model import Problem as Problem
    from guardhooks.model import Record as Record
    from guardhooks.model import Severity as Severity
    from guardhooks.model import SourceSpec as SourceSpec
    from guardhooks.model import Totals as Totals
    from guardhooks.net.addresses import canonical as canonical
    from guardhooks.net.addresses import prefix_of as prefix_of
    from guardhooks.net.addresses import widen as widen
    from guardhooks.net.names import is_host_name as is_host_name
    from guardhooks.net.names import misspelt_address as misspelt_address
    from guardhooks.net.prefixes import PrefixList as PrefixList
    from guardhooks.net.prefixes import PrefixMap as PrefixMap
    from guardhooks.per_guard import PerGuard as PerGuard
    from guardhooks.settings import option_types as option_types
    from guardhooks.settings.brackets import parse_brackets as parse_brackets
    from guardhooks.settings.option import Option as Option
    from guardhooks.settings.option import OptionTable as OptionTable
    from guardhooks.settings.times import parse_duration as parse_duration
    from guardhooks.shell.script import ShellScript as ShellScript
    from guardhooks.shell.script import shell_script as shell_script
    from guardhooks.system.interfaces import own_addresses as own_addresses
    from guardhooks.system.light_pyroute2 import prepare_pyroute2 as prepare_pyroute2
    from guardhooks.system.lookups import CachedLookups as CachedLookups
    from guardhooks.system.worker_pool import Bulkhead as Bulkhead
    from guardhooks.system.worker_pool import WorkerPool as WorkerPool
    from guardhooks.text import safe_text as safe_text
    from guardhooks.views import GuardView as GuardView
    from guardhooks.views import LedgerView as LedgerView
    from guardhooks.workers import FailureWindows as FailureWindows
    from guardhooks.workers import LineMatcher as LineMatcher
    from guardhooks.workers import LineTrace as LineTrace
    from guardhooks.workers import LogSource as LogSource
    from guardhooks.workers import MakeWindows as MakeWindows
    from guardhooks.workers import MissedLines as MissedLines
    from guardhooks.workers import SelectiveMatcher as SelectiveMatcher
    from guardhooks.workers import SourceStatus as SourceStatus
    from guardhooks.workers import StartAt as StartAt
    from guardhooks.workers import SurveyingMatcher as SurveyingMatcher
    from guardhooks.workers import WindowChanges as WindowChanges

_HOME = {
    "guardhooks.cli.connection": ("ask_daemon",),
    "guardhooks.cli.options": ("daemon_options",),
    "guardhooks.control.arguments": ("ArgumentKind",),
    "guardhooks.control.peers": ("current_uid",),
    "guardhooks.control.protocol": ("RequestError",),
    "guardhooks.control.requests": ("Access", "Argument", "Ask", "Request", "Requests"),
    "guardhooks.control.transport": ("WireProtocol",),
    "guardhooks.net.addresses": ("canonical", "prefix_of", "widen"),
    "guardhooks.net.names": ("is_host_name", "misspelt_address"),
    "guardhooks.system.worker_pool": ("Bulkhead", "WorkerPool"),
    "guardhooks.system.interfaces": ("own_addresses",),
    "guardhooks.errors": ("ActionError", "ConfigError", "GuardhooksError", "PluginError", "StateError"),
    "guardhooks.engine.guard": ("Guard",),
    "guardhooks.findings": ("FailureLines", "Findings", "new_failure"),
    "guardhooks.marker": ("hookimpl", "skip_first_time_offenders"),
    "guardhooks.model": (
        "NO_FIELDS", "NO_OPTIONS", "PERMANENT", "ActionSpec", "Ban", "Chunk", "ConfigFinding", "Escalation",
        "Failure", "FilterSpec", "Finding", "Ignore", "Jail", "Level", "Op", "Outcome", "Position", "Problem",
        "Record", "Severity", "SourceSpec", "Totals",
    ),
    "guardhooks.per_guard": ("PerGuard",),
    "guardhooks.views": ("GuardView", "LedgerView"),
    "guardhooks.workers": (
        "FailureWindows", "LineMatcher", "LineTrace", "LogSource", "MakeWindows", "MissedLines", "SelectiveMatcher",
        "SourceStatus", "StartAt", "SurveyingMatcher", "WindowChanges",
    ),
    "guardhooks.net.prefixes": ("PrefixList", "PrefixMap"),
    "guardhooks.settings": ("option_types", "parse_brackets"),
    "guardhooks.settings.option": ("Option", "OptionTable"),
    "guardhooks.settings.times": ("parse_duration",),
    "guardhooks.shell.script": ("ShellScript", "shell_script"),
    "guardhooks.system.lookups": ("CachedLookups",),
    "guardhooks.system.light_pyroute2": ("prepare_pyroute2",),
    "guardhooks.text": ("safe_text",),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}
__all__ = sorted(_MODULE_OF)  # noqa: PLE0605 -- a list of names, made from the table above
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        msg = f"module 'guardhooks' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_MODULE_OF[name]), name)
