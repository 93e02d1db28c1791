"""The one place that knows where the meaning of filters is kept."""

from __future__ import annotations

from guardhooks_core.matchers.filterd.dates import DateDetector as DateDetector
from guardhooks_core.matchers.filterd.dates.template import Template as Template
from guardhooks_core.matchers.filterd.decoding import Decoder as Decoder
from guardhooks_core.matchers.filterd.groups import identify as identify
from guardhooks_core.matchers.filterd.jail_matcher import JailMatcher as JailMatcher
from guardhooks_core.matchers.filterd.layout import required_literal as required_literal
from guardhooks_core.matchers.filterd.matcher import FilterMatcher as FilterMatcher
from guardhooks_core.matchers.filterd.regex.literals import AllOf as AllOf
from guardhooks_core.matchers.filterd.regex.literals import AnyOf as AnyOf
from guardhooks_core.matchers.filterd.regex.literals import RequiredLiteral as RequiredLiteral
from guardhooks_core.matchers.filterd.regex.literals import Word as Word
from guardhooks_core.matchers.filterd.rules import Rule as Rule
