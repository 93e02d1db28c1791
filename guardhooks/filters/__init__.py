"""What the filters of `filter.d` mean: tags, groups, dates, sessions, the age of lines.

Public for plugins that match lines in their own way, and right by definition: `JailMatcher` reads one line after the
other with every regex that is left. A matcher only decides which lines and regexes can be left out.
"""

from guardhooks.filters.cache import Cache as Cache
from guardhooks.filters.cache import digest as digest
from guardhooks.filters.cache import filter_parts as filter_parts
from guardhooks.filters.compiled import CompiledFilters as CompiledFilters
from guardhooks.filters.dates import DateDetector as DateDetector
from guardhooks.filters.dates import DateMatch as DateMatch
from guardhooks.filters.dates import Template as Template
from guardhooks.filters.decoding import Decoder as Decoder
from guardhooks.filters.groups import Identity as Identity
from guardhooks.filters.groups import identify as identify
from guardhooks.filters.jail_matcher import JailMatcher as JailMatcher
from guardhooks.filters.regex.literals import AllOf as AllOf
from guardhooks.filters.regex.literals import AnyOf as AnyOf
from guardhooks.filters.regex.literals import RequiredLiteral as RequiredLiteral
from guardhooks.filters.regex.literals import Word as Word
from guardhooks.filters.regex.timed import TimedRegex as TimedRegex
from guardhooks.filters.regex.timed import shared as shared
from guardhooks.filters.required import keeps_words as keeps_words
from guardhooks.filters.required import required_literal as required_literal
from guardhooks.filters.rules import Candidates as Candidates
from guardhooks.filters.rules import Rule as Rule
from guardhooks.filters.survey import Survey as Survey
