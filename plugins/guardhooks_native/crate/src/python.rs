//! What Python sees.

use pyo3::prelude::*;

#[pymodule]
mod _core {
    use crate::block::{Block, Identity, Row, USERS};
    use crate::charset::Set;
    use crate::dates::{Dated, Dates, Keep};
    use crate::jail::{Host, Kind, Rule, Shared, Spec, Warning};
    use crate::matcher;
    use crate::plain::Plain;
    use crate::reach::Wild;
    use crate::regex::{self, Search};
    use crate::scan::{Factor, Needle, Scan};
    use crate::text::Span;
    use crate::walk::{Found, NONE};
    use crate::windows::{self, Late, Rules};
    use pyo3::exceptions::{PyIndexError, PyRuntimeError, PyTimeoutError, PyValueError};
    use pyo3::prelude::*;
    use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};
    use std::borrow::Cow;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::sync::atomic::AtomicI64;

    /// A regex as the translator writes it: nodes, start, slots.
    type Graph = (Vec<u32>, Vec<Vec<u8>>, u32, u32);

    fn regex_of((code, sets, start, slots): &Graph, words: &[u8]) -> PyResult<regex::Regex> {
        let sets: Option<Vec<Set>> = sets.iter().map(|set| Set::from_bytes(set)).collect();
        let damaged = || PyValueError::new_err("a damaged regex: a set has 32 bytes");
        let (sets, words) = sets.zip(Set::from_bytes(words)).ok_or_else(damaged)?;
        let plain = Plain::decode(code, sets, words, *start, *slots);
        plain.and_then(|plain| regex::Regex::new(&plain)).map_err(PyValueError::new_err)
    }

    /// One regex by itself, for dates and for tests.
    #[pyclass]
    struct Regex {
        /// None once a matcher has taken it.
        regex: Option<regex::Regex>,
        search: Search,
        slots: Vec<u32>,
    }

    #[pymethods]
    impl Regex {
        #[new]
        fn new(graph: Graph, words: &[u8]) -> PyResult<Regex> {
            let regex = regex_of(&graph, words)?;
            let slots = vec![NONE; regex.slots()];
            Ok(Regex { regex: Some(regex), search: Search::default(), slots })
        }

        #[getter]
        fn states(&self) -> usize {
            self.regex.as_ref().map_or(0, regex::Regex::states)
        }

        /// Begin and end of the match and of each group with a name, -1 where there is none.
        ///
        /// With `here` only at `begin`, with `linear` by the linear engine alone. Raises TimeoutError out of steps.
        #[pyo3(signature = (text, begin = 0, *, here = false, linear = false))]
        fn search(&mut self, text: &[u8], begin: usize, here: bool, linear: bool) -> PyResult<Option<Vec<i64>>> {
            if begin > text.len() {
                return Ok(None);
            }
            self.search.begin(text.len());
            let Regex { regex, search, slots } = self;
            let regex = regex.as_mut().ok_or_else(taken)?;
            let found = if linear {
                regex.search_linear(text, begin, here, slots, search)
            } else {
                regex.search(text, begin, here, slots, search)
            };
            match found {
                Found::No => Ok(None),
                Found::Exhausted => Err(PyTimeoutError::new_err("the steps of this text are spent")),
                Found::Yes => {
                    Ok(Some(self.slots.iter().map(|&at| if at == NONE { -1 } else { i64::from(at) }).collect()))
                }
            }
        }

        /// Steps taken since the last call.
        fn steps(&mut self) -> u64 {
            std::mem::take(&mut self.search.taken)
        }

        /// Characters that decide how the regex matches at `begin`; see `reach.rs`.
        fn reach(&self, text: &[u8], begin: usize, wild: Vec<(usize, u8, u8)>) -> PyResult<Option<usize>> {
            Ok(self.regex.as_ref().ok_or_else(taken)?.reach(text, begin, &wilds(wild)))
        }
    }

    fn taken() -> PyErr {
        PyValueError::new_err("a matcher has taken this regex")
    }

    fn wilds(wild: Vec<(usize, u8, u8)>) -> Vec<Wild> {
        wild.into_iter().map(|(at, low, high)| Wild { at, low, high }).collect()
    }

    #[derive(FromPyObject)]
    struct RuleSpec {
        regex: usize,
        index: u32,
        names: Vec<(u16, u32)>,
        alternatives: Vec<(u16, u16)>,
        helps: bool,
        forgets: bool,
        names_user: bool,
    }

    impl From<RuleSpec> for Rule {
        fn from(spec: RuleSpec) -> Rule {
            let RuleSpec { regex, index, names, alternatives, helps, forgets, names_user } = spec;
            Rule { regex, index, names, alternatives, helps, forgets, names_user }
        }
    }

    #[derive(FromPyObject)]
    struct JailSpec {
        prefix: Option<RuleSpec>,
        rules: Vec<RuleSpec>,
        ignores: Vec<RuleSpec>,
        ignore_first: bool,
        detector: usize,
        has_sessions: bool,
        findtime: f64,
        most_lines: usize,
    }

    impl From<JailSpec> for Spec {
        fn from(spec: JailSpec) -> Spec {
            let all = |rules: Vec<RuleSpec>| rules.into_iter().map(Rule::from).collect();
            Spec {
                prefix: spec.prefix.map(Rule::from),
                rules: all(spec.rules),
                ignores: all(spec.ignores),
                ignore_first: spec.ignore_first,
                detector: spec.detector,
                has_sessions: spec.has_sessions,
                findtime: spec.findtime,
                most_lines: spec.most_lines,
            }
        }
    }

    #[derive(FromPyObject)]
    struct ScanSpec {
        needles: Vec<Needle>,
        words: Vec<Vec<u8>>,
        factors: Vec<Vec<(u8, u32)>>,
        always: Vec<u32>,
    }

    impl ScanSpec {
        fn build(self) -> Result<Scan, String> {
            let decode = |code: Vec<(u8, u32)>| Factor::decode(&mut code.into_iter(), &self.words);
            let factors = self.factors.into_iter().map(decode).collect::<Result<Vec<_>, _>>()?;
            Scan::new(self.needles, factors, self.always)
        }
    }

    /// Searches blocks for literals, as a matcher does.
    #[pyclass(frozen)]
    struct Scanner {
        scan: Scan,
    }

    #[pymethods]
    impl Scanner {
        #[new]
        fn new(spec: ScanSpec) -> PyResult<Scanner> {
            Ok(Scanner { scan: spec.build().map_err(PyValueError::new_err)? })
        }

        /// The end of a line, its newline included, and the number of a literal that the line may hold; sorted.
        fn scan(&self, data: &[u8]) -> Vec<(usize, u32)> {
            let mut rules = Vec::new();
            let mut found = Vec::new();
            for (start, end) in self.scan.lines(data) {
                self.scan.rules_of(data, start..end, &mut rules);
                found.extend(rules.iter().map(|&rule| (end + 1, rule)));
            }
            found
        }
    }

    /// Asks the Python object that a matcher was given.
    struct PythonHost<'a, 'py> {
        py: Python<'py>,
        host: &'a Bound<'py, PyAny>,
        fault: Option<PyErr>,
    }

    impl PythonHost<'_, '_> {
        fn kept<T: Default>(&mut self, answer: PyResult<T>) -> T {
            answer.unwrap_or_else(|fault| {
                self.fault.get_or_insert(fault);
                T::default()
            })
        }

        fn lossy<'py>(&self, py: Python<'py>, text: &[u8]) -> Bound<'py, PyString> {
            PyString::new(py, &String::from_utf8_lossy(text))
        }
    }

    type Kept = (u64, usize, Vec<(usize, u8, u8)>, Option<usize>, f64, f64, bool);

    fn dated(answer: &Bound<'_, PyAny>) -> PyResult<Dated> {
        if answer.is_none() {
            return Ok(Dated::default());
        }
        let (start, end, time, kept): (u32, u32, Option<f64>, Option<Kept>) = answer.extract()?;
        let keep = kept.map(|(state, reach, wild, seconds, since, until, long)| Keep {
            state,
            reach,
            wild: wilds(wild),
            seconds,
            since,
            until,
            long,
        });
        Ok(Dated { found: true, start, end, time, keep })
    }

    impl Host for PythonHost<'_, '_> {
        fn date(&mut self, detector: usize, line: &[u8], now: f64, uses: u64, last_use: f64) -> Dated {
            let arguments = (detector, PyBytes::new(self.py, line), now, uses, last_use);
            let answer = self.host.call_method1("date", arguments).and_then(|answer| dated(&answer));
            self.kept(answer)
        }

        fn identify(&mut self, jail: usize, groups: &[(u16, &[u8])]) -> Identity {
            let told: Vec<_> = groups.iter().map(|(name, text)| (*name, self.lossy(self.py, text))).collect();
            let answer = self.host.call_method1("identify", (jail, told));
            let answer = answer.and_then(|answer| answer.extract::<(String, String, String, bool)>());
            let (id, address, resolve, genuine) = self.kept(answer);
            Identity { id: id.into(), address: address.into(), resolve: resolve.into(), genuine }
        }

        fn warn(&mut self, jail: usize, warning: Warning, now: f64, line: &[u8]) {
            let text = self.lossy(self.py, line);
            let answer = self.host.call_method1("warn", (jail, warning.number(), now, text));
            self.kept(answer.map(|_| ()));
        }

        fn judge(&mut self, jail: usize, time: f64, now: f64, zoned: bool) -> Option<f64> {
            let answer = self.host.call_method1("judge", (jail, time, now, zoned));
            self.kept(answer.and_then(|answer| answer.extract::<Option<f64>>()))
        }

        fn exhausted(&mut self, jail: usize, kind: Kind, index: u32, text: &[u8]) {
            let kind = match kind {
                Kind::Prefix => "prefregex",
                Kind::Failregex => "failregex",
                Kind::Ignoreregex => "ignoreregex",
            };
            let text = self.lossy(self.py, &text[..text.len().min(512)]);
            let answer = self.host.call_method1("exhausted", (jail, kind, index, text));
            self.kept(answer.map(|_| ()));
        }

        fn page(&mut self, number: u32) -> Box<[u8; 256]> {
            let answer = self.host.call_method1("page", (number,)).and_then(|answer| answer.extract::<Vec<u8>>());
            let codes = self.kept(answer);
            codes.try_into().unwrap_or_else(|_| Box::new([128; 256]))
        }

        fn failed(&self) -> bool {
            self.fault.is_some()
        }
    }

    /// All jails of one source.
    #[pyclass]
    struct Matcher {
        matcher: matcher::Matcher,
        host: Py<PyAny>,
        names: Py<PyList>,
        broken: bool,
    }

    #[pymethods]
    impl Matcher {
        /// `regexes` are taken over. `names` are the texts of the numbers that groups have, `host` answers what only
        /// Python can tell.
        #[new]
        fn new(
            regexes: Vec<Bound<'_, Regex>>,
            jails: Vec<JailSpec>,
            detectors: Vec<(bool, bool)>,
            scan: ScanSpec,
            names: Py<PyList>,
            host: Py<PyAny>,
        ) -> PyResult<Matcher> {
            let regexes = regexes.iter().map(|regex| regex.borrow_mut().regex.take().ok_or_else(taken));
            let regexes = regexes.collect::<PyResult<Vec<_>>>()?;
            let dates = detectors.into_iter().map(|(none, empty_counts)| Dates::new(none, empty_counts)).collect();
            let specs = jails.into_iter().map(Spec::from).collect();
            let matcher = scan
                .build()
                .and_then(|scan| matcher::Matcher::new(scan, specs, Shared::new(regexes, dates)))
                .map_err(PyValueError::new_err)?;
            Ok(Matcher { matcher, host, names, broken: false })
        }

        /// The failures in whole lines.
        #[pyo3(signature = (data, received, live, times = None))]
        fn feed(
            &mut self,
            py: Python<'_>,
            data: &[u8],
            received: f64,
            live: bool,
            times: Option<Vec<f64>>,
        ) -> PyResult<Rows> {
            if self.broken {
                return Err(PyRuntimeError::new_err("the native core is out of order after a fault in it"));
            }
            let chunk = matcher::Chunk { data, received, live, times: times.as_deref() };
            let mut host = PythonHost { py, host: self.host.bind(py), fault: None };
            let matcher = &mut self.matcher;
            // A fault in the core is one of a plugin: reported, and the jail goes on elsewhere.
            let found = catch_unwind(AssertUnwindSafe(|| matcher.feed(&chunk, &mut host)));
            match (found, host.fault) {
                (_, Some(fault)) => Err(fault),
                (Ok(block), None) => Ok(Rows { block, names: self.names.clone_ref(py) }),
                (Err(_), None) => {
                    self.broken = true;
                    Err(PyRuntimeError::new_err("the native core failed on these lines"))
                }
            }
        }

        /// Steps of the regex engines since the last call.
        fn steps(&mut self) -> u64 {
            self.matcher.steps()
        }
    }

    /// The failures of one block, as columns.
    #[pyclass(frozen)]
    struct Rows {
        block: Block,
        names: Py<PyList>,
    }

    type Texts<'py> = Vec<Bound<'py, PyString>>;
    type Columns<'py> = (Texts<'py>, Texts<'py>, Texts<'py>, Vec<f64>);
    type Whole<'py> = (
        u32,
        Bound<'py, PyString>,
        f64,
        Bound<'py, PyString>,
        Bound<'py, PyTuple>,
        Bound<'py, PyDict>,
        i32,
        Bound<'py, PyString>,
    );

    impl Rows {
        fn at(&self, number: usize) -> PyResult<&Row> {
            self.block.rows.get(number).ok_or_else(|| PyIndexError::new_err("no such failure"))
        }

        fn string<'py>(&self, py: Python<'py>, text: &[u8]) -> Bound<'py, PyString> {
            match std::str::from_utf8(text) {
                Ok(text) => PyString::new(py, text),
                Err(_) => PyString::new(py, &String::from_utf8_lossy(text)),
            }
        }

        fn span<'py>(&self, py: Python<'py>, span: Span) -> Bound<'py, PyString> {
            self.string(py, self.block.text(span))
        }

        fn lines_of<'py>(&self, py: Python<'py>, row: &Row) -> PyResult<Bound<'py, PyTuple>> {
            PyTuple::new(py, self.block.lines(row).map(|line| self.string(py, line)))
        }
    }

    #[pymethods]
    impl Rows {
        fn __len__(&self) -> usize {
            self.block.rows.len()
        }

        /// Of all failures: jail, id, address, time. `jails` are the names of the jails, by their numbers.
        fn columns<'py>(&self, py: Python<'py>, jails: Texts<'py>) -> PyResult<Columns<'py>> {
            let rows = &self.block.rows;
            let jail =
                |row: &Row| jails.get(row.jail as usize).cloned().ok_or_else(|| PyIndexError::new_err("no such jail"));
            let ids: Texts<'py> = rows.iter().map(|row| self.span(py, row.id)).collect();
            let address = |(row, id): (&Row, &Bound<'py, PyString>)| {
                if row.address == row.id { id.clone() } else { self.span(py, row.address) }
            };
            let addresses = rows.iter().zip(&ids).map(address).collect();
            let times = rows.iter().map(|row| row.time).collect();
            Ok((rows.iter().map(jail).collect::<PyResult<_>>()?, ids, addresses, times))
        }

        /// The failures with a host name that must be looked up.
        fn unresolved(&self) -> Vec<usize> {
            let rows = self.block.rows.iter().enumerate();
            rows.filter(|(_, row)| row.resolve.1 > row.resolve.0).map(|(number, _)| number).collect()
        }

        /// The log lines of a failure.
        fn lines<'py>(&self, py: Python<'py>, number: usize) -> PyResult<Bound<'py, PyTuple>> {
            self.lines_of(py, self.at(number)?)
        }

        /// A whole failure: jail, id, time, address, lines, fields, failregex, host name to look up.
        fn row<'py>(&self, py: Python<'py>, number: usize) -> PyResult<Whole<'py>> {
            let row = self.at(number)?;
            let names = self.names.bind(py);
            let fields = PyDict::new(py);
            let mut users = Vec::new();
            for (name, text) in self.block.fields(row) {
                if name == USERS {
                    users.push(self.string(py, text));
                } else {
                    fields.set_item(names.get_item(usize::from(name))?, self.string(py, text))?;
                }
            }
            if !users.is_empty() {
                fields.set_item("users", PyTuple::new(py, users)?)?;
            }
            let id = self.span(py, row.id);
            let address = if row.address == row.id { id.clone() } else { self.span(py, row.address) };
            let lines = self.lines_of(py, row)?;
            Ok((row.jail, id, row.time, address, lines, fields, row.failregex, self.span(py, row.resolve)))
        }
    }

    /// Bytes that the lines of all windows together may still take.
    #[pyclass(frozen)]
    struct Budget {
        left: Arc<AtomicI64>,
    }

    #[pymethods]
    impl Budget {
        #[new]
        fn new(size: i64) -> Budget {
            Budget { left: Arc::new(AtomicI64::new(size)) }
        }
    }

    /// The failure windows of one jail.
    #[pyclass]
    struct Windows {
        windows: windows::Windows,
    }

    /// Where the lines of failures are: rows of a block (all, or these), or what a call with their place gives.
    #[derive(FromPyObject)]
    enum Lines<'py> {
        Every(Bound<'py, Rows>),
        Some(Bound<'py, Rows>, Bound<'py, PyAny>),
        Called(Bound<'py, PyAny>),
    }

    /// As `_encoded` in `windows.py`.
    const LINE_LIMIT: usize = 2048;

    fn encoded(line: &[u8]) -> Cow<'_, [u8]> {
        let mut text = String::from_utf8_lossy(line);
        if text.len() > LINE_LIMIT && text.chars().nth(LINE_LIMIT).is_some() {
            text = text.chars().take(LINE_LIMIT - 1).chain(['…']).collect();
        }
        if memchr::memchr(0, text.as_bytes()).is_some() {
            text = text.replace('\0', "\u{FFFD}").into();
        }
        match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        }
    }

    impl Lines<'_> {
        fn of(&self, place: usize) -> PyResult<Vec<Cow<'_, [u8]>>> {
            let (rows, number) = match self {
                Lines::Every(rows) => (rows, place),
                Lines::Some(rows, numbers) => (rows, numbers.get_item(place)?.extract()?),
                Lines::Called(called) => {
                    let lines: Vec<Vec<u8>> = called.call1((place,))?.extract()?;
                    return Ok(lines.into_iter().map(Cow::Owned).collect());
                }
            };
            let rows = rows.get();
            Ok(rows.block.lines(rows.at(number)?).map(encoded).collect())
        }
    }

    fn id_of<'a>(id: &'a Bound<'_, PyString>) -> PyResult<Cow<'a, [u8]>> {
        match id.to_str() {
            Ok(text) => Ok(Cow::Borrowed(text.as_bytes())),
            Err(_) => Ok(Cow::Owned(id.call_method1("encode", ("utf-8", "surrogatepass"))?.extract()?)),
        }
    }

    #[pymethods]
    impl Windows {
        #[new]
        fn new(budget: &Budget, findtime: f64, limit: usize) -> Windows {
            Windows { windows: windows::Windows::new(budget.left.clone(), findtime, limit) }
        }

        #[getter]
        fn findtime(&self) -> f64 {
            self.windows.findtime
        }

        fn __len__(&self) -> usize {
            self.windows.len()
        }

        /// Count failures from place `start` on; the place behind the first that has failed `limit` times or is
        /// `known`, and its times. `rules`: findtime, maxretry, maxmatches.
        #[pyo3(signature = (ids, times, lines, rules, clock, known, start, limit))]
        #[allow(clippy::too_many_arguments)] // the columns and what they are counted against
        fn count<'py>(
            slf: &Bound<'py, Self>,
            py: Python<'py>,
            ids: &Bound<'py, PyList>,
            times: &Bound<'py, PyList>,
            lines: Lines<'py>,
            rules: (f64, i64, i64),
            clock: &Bound<'py, PyAny>,
            known: Vec<Bound<'py, PyAny>>,
            start: usize,
            limit: i64,
        ) -> PyResult<(usize, Option<Bound<'py, PyTuple>>)> {
            let rules =
                Rules { findtime: rules.0, most_failures: rules.1.clamp(1, i64::MAX) as usize, most_lines: rules.2 };
            for place in start..ids.len() {
                let id = ids.get_item(place)?.cast_into::<PyString>()?;
                let time: f64 = times.get_item(place)?.extract()?;
                let mut is_known = false;
                for each in &known {
                    is_known |= each.contains(&id)?;
                }
                let (of, text) = (lines.of(place)?, id_of(&id)?);
                let wanted = |number: usize| is_known || number as i64 >= limit;
                let mut now = None;
                // Borrowed only while no Python code runs, for the ledger's thread may ask for a segment meanwhile.
                let found = loop {
                    let counted = {
                        let mut own = slf.borrow_mut();
                        let of = of.iter().map(|line| &**line);
                        catch_unwind(AssertUnwindSafe(|| own.windows.count(&text, time, of, rules, now, wanted)))
                    };
                    match counted {
                        Ok(Ok(found)) => break found,
                        Ok(Err(Late)) => (),
                        Err(_) => return Err(PyRuntimeError::new_err("the native core failed on this failure")),
                    }
                    now = Some(clock.call0()?.extract::<f64>()?);
                };
                if let Some(found) = found {
                    return Ok((place + 1, Some(PyTuple::new(py, found)?)));
                }
            }
            Ok((ids.len(), None))
        }

        /// Failures, lines and times of an id.
        fn get<'py>(
            &self,
            py: Python<'py>,
            id: &Bound<'py, PyString>,
        ) -> PyResult<(u32, Bound<'py, PyBytes>, Vec<f64>)> {
            let (failures, text, times) = self.windows.of(&id_of(id)?).unwrap_or_default();
            Ok((failures, PyBytes::new(py, text), times.to_vec()))
        }

        fn forget(&mut self, id: &Bound<'_, PyString>) -> PyResult<()> {
            self.windows.forget(&id_of(id)?);
            Ok(())
        }

        fn clear(&mut self) {
            self.windows.clear();
        }

        fn expire(&mut self, now: f64) {
            self.windows.expire(now);
        }

        fn is_dirty(&self) -> bool {
            self.windows.is_dirty()
        }

        /// Segments to be written, and whether all windows are instead, which `next_segment` gives.
        fn take<'py>(&mut self, py: Python<'py>) -> Option<(Vec<Bound<'py, PyBytes>>, bool)> {
            let mut segments = Vec::new();
            let whole = self.windows.take(|segment| segments.push(PyBytes::new(py, &segment)))?;
            Some((segments, whole))
        }

        /// One more segment of all windows, where `take` said so; None after the last.
        fn next_segment<'py>(&mut self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
            self.windows.next_segment().map(|segment| PyBytes::new(py, &segment))
        }

        fn mark_all_changed(&mut self) {
            self.windows.mark_all_changed();
        }

        fn mark_written(&mut self, size: i64) {
            self.windows.mark_written(size);
        }

        fn put_back(&mut self) {
            self.windows.put_back();
        }

        fn restore(&mut self, id: &Bound<'_, PyString>, packed: &[u8]) -> PyResult<()> {
            self.windows.restore(&id_of(id)?, packed).map_err(PyValueError::new_err)
        }

        fn restored(&mut self, size: i64) {
            self.windows.restored(size);
        }
    }
}
