//! The failure windows of one jail, as `guardhooks/ledger/windows.py` keeps them, which says what they are.
//!
//! Windows are linked in the order of their last failure. A slot also stands for a window that is gone as long as this
//! has not been written.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

const LINES_LIMIT: usize = 8192;
const GRACE: f64 = 60.0;
const WASTE: i64 = 1 << 20;
const IN_SEGMENT: usize = 4096;
const HEAD: usize = 8;
const TIME: usize = 8;
const NIL: u32 = u32::MAX;

#[derive(Clone, Debug, Default)]
struct Window {
    failures: u32,
    text: Box<[u8]>,
    times: Vec<f64>,
}

#[derive(Debug)]
struct Slot {
    id: Arc<[u8]>,
    /// None: gone.
    window: Option<Window>,
    before: u32,
    behind: u32,
    /// Its place among the changes, plus one; 0 where it is not changed.
    change: u32,
}

/// A failure is older than another of its id: what time is it now?
#[derive(Debug)]
pub struct Late;

/// How failures of one jail count.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub findtime: f64,
    pub most_failures: usize,
    pub most_lines: i64,
}

/// All windows as they were at one moment, packed segment by segment while the present ones go on changing.
#[derive(Debug)]
struct Snapshot {
    order: Vec<u32>,
    done: usize,
    /// What has changed since, as it was.
    saved: HashMap<u32, (Arc<[u8]>, Option<Window>)>,
}

#[derive(Debug)]
pub struct Windows {
    pub findtime: f64,
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_id: HashMap<Arc<[u8]>, u32>,
    first: u32,
    last: u32,
    number: usize,
    changes: Vec<u32>,
    /// Ids that are being written, and whether they are gone.
    taken: Vec<(Arc<[u8]>, bool)>,
    taken_whole: bool,
    snapshot: Option<Snapshot>,
    whole_due: bool,
    size: i64,
    stored: i64,
    budget: Arc<AtomicI64>,
    limit: usize,
}

impl Windows {
    /// `budget`: bytes that the lines of all windows that share it may still take; `limit`: ids at most.
    pub fn new(budget: Arc<AtomicI64>, findtime: f64, limit: usize) -> Windows {
        Windows {
            findtime,
            slots: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::new(),
            first: NIL,
            last: NIL,
            number: 0,
            changes: Vec::new(),
            taken: Vec::new(),
            taken_whole: false,
            snapshot: None,
            whole_due: false,
            size: 0,
            stored: 0,
            budget,
            limit,
        }
    }

    pub fn len(&self) -> usize {
        self.number
    }

    pub fn is_empty(&self) -> bool {
        self.number == 0
    }

    /// Failures, lines and times of an id.
    pub fn of(&self, id: &[u8]) -> Option<(u32, &[u8], &[f64])> {
        let window = self.slots[*self.by_id.get(id)? as usize].window.as_ref()?;
        Some((window.failures, &window.text, &window.times))
    }

    // --- counting ---------------------------------------------------------------------------------------------------

    /// Count one failure; the times of the latest within the window where `wanted` says so of their number.
    ///
    /// `now` is only needed for one that is late: without it nothing is counted then. `lines` are encoded and cut, with no NUL in them.
    pub fn count<'a>(
        &mut self,
        id: &[u8],
        time: f64,
        lines: impl ExactSizeIterator<Item = &'a [u8]>,
        rules: Rules,
        now: Option<f64>,
        wanted: impl FnOnce(usize) -> bool,
    ) -> Result<Option<Vec<f64>>, Late> {
        self.findtime = rules.findtime;
        let window_of = |&slot: &u32| self.slots[slot as usize].window.as_ref();
        let known = self.by_id.get(id).copied().filter(|slot| window_of(slot).is_some());
        let newest = known.as_ref().and_then(window_of).and_then(|window| window.times.last());
        if now.is_none() && newest.is_some_and(|&newest| time < newest) {
            return Err(Late);
        }
        let now = now.unwrap_or(time);
        if let Some(slot) = known {
            self.save(slot);
        }
        // Lines take their share of the budget before older windows make room.
        let former = known.and_then(|slot| self.slots[slot as usize].window.as_mut());
        let text = former.map(|window| std::mem::take(&mut window.text)).unwrap_or_default();
        let text_was = text.len();
        let text = if lines.len() > 0 { with_lines(text, lines, rules.most_lines, &self.budget) } else { text };
        let slot = match known {
            Some(slot) => {
                self.unlink(slot);
                slot
            }
            None => self.begin(id),
        };
        self.link(slot);
        let window = self.slots[slot as usize].window.get_or_insert_default();
        if known.is_none() {
            self.size += room(id) + HEAD as i64;
        }
        let former = (text_was, window.times.len());
        let (first, last) = put(&mut window.times, time, rules, now);
        let first = first.max(last.saturating_sub(rules.most_failures));
        let found = wanted(last - first).then(|| window.times[first..last].to_vec());
        window.failures = window.failures.saturating_add(1);
        prune(&mut window.times, rules);
        window.text = text;
        self.size +=
            (window.text.len() as i64 - former.0 as i64) + TIME as i64 * (window.times.len() as i64 - former.1 as i64);
        self.mark(slot);
        Ok(found)
    }

    fn begin(&mut self, id: &[u8]) -> u32 {
        if self.number >= self.limit {
            for _ in 0..=self.limit / 100 {
                self.drop_oldest();
            }
        }
        self.number += 1;
        let slot = self.slot_of(id);
        self.slots[slot as usize].window = Some(Window::default());
        slot
    }

    fn drop_oldest(&mut self) {
        if self.first != NIL {
            let id = self.slots[self.first as usize].id.clone();
            self.forget(&id);
        }
    }

    /// The slot of an id, a new one if it has none.
    fn slot_of(&mut self, id: &[u8]) -> u32 {
        if let Some(&slot) = self.by_id.get(id) {
            return slot;
        }
        let id: Arc<[u8]> = id.into();
        let new = Slot { id: id.clone(), window: None, before: NIL, behind: NIL, change: 0 };
        let slot = if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = new;
            slot
        } else {
            self.slots.push(new);
            (self.slots.len() - 1) as u32
        };
        self.by_id.insert(id, slot);
        slot
    }

    fn link(&mut self, slot: u32) {
        let last = self.last;
        self.slots[slot as usize].before = last;
        self.slots[slot as usize].behind = NIL;
        if last == NIL {
            self.first = slot;
        } else {
            self.slots[last as usize].behind = slot;
        }
        self.last = slot;
    }

    fn unlink(&mut self, slot: u32) {
        let Slot { before, behind, .. } = self.slots[slot as usize];
        match before {
            NIL => self.first = behind,
            _ => self.slots[before as usize].behind = behind,
        }
        match behind {
            NIL => self.last = before,
            _ => self.slots[behind as usize].before = before,
        }
    }

    // --- dropping ---------------------------------------------------------------------------------------------------

    pub fn forget(&mut self, id: &[u8]) {
        if let Some(&slot) = self.by_id.get(id)
            && self.drop_window(slot)
        {
            self.mark(slot);
        }
    }

    pub fn clear(&mut self) {
        for slot in self.in_order() {
            self.drop_window(slot);
        }
        (self.free, self.changes, self.by_id) = Default::default();
        self.free.extend((0..self.slots.len() as u32).rev());
        self.slots.iter_mut().for_each(|slot| slot.change = 0);
        self.whole_due = self.stored > 0;
    }

    /// Drop the windows that are over at `now`, or lie in the future.
    pub fn expire(&mut self, now: f64) {
        while self.first != NIL {
            let slot = self.first;
            let age = now - self.slots[slot as usize].window.as_ref().and_then(|w| w.times.last()).unwrap_or(&now);
            if (-GRACE..self.findtime + GRACE).contains(&age) {
                break;
            }
            self.drop_window(slot);
            if age < 0.0 {
                self.mark(slot);
            } else {
                self.slots[slot as usize].change = 0;
                self.free_slot(slot);
            }
        }
    }

    /// Whether there was one.
    fn drop_window(&mut self, slot: u32) -> bool {
        self.save(slot);
        let Some(window) = self.slots[slot as usize].window.take() else { return false };
        self.unlink(slot);
        self.number -= 1;
        self.size -= room(&self.slots[slot as usize].id) + packed_size(&window);
        self.budget.fetch_add(window.text.len() as i64, Ordering::Relaxed);
        true
    }

    fn free_slot(&mut self, slot: u32) {
        let id = std::mem::replace(&mut self.slots[slot as usize].id, Arc::from([]));
        self.by_id.remove(&id);
        self.free.push(slot);
    }

    /// Keep what a slot holds for the snapshot that is being written, before it changes.
    fn save(&mut self, slot: u32) {
        if let Some(snapshot) = &mut self.snapshot {
            let Slot { id, window, .. } = &self.slots[slot as usize];
            snapshot.saved.entry(slot).or_insert_with(|| (id.clone(), window.clone()));
        }
    }

    // --- disk -------------------------------------------------------------------------------------------------------

    fn mark(&mut self, slot: u32) {
        if self.slots[slot as usize].change == 0 {
            self.changes.push(slot);
            self.slots[slot as usize].change = self.changes.len() as u32;
        }
    }

    fn is_change(&self, place: usize, slot: u32) -> bool {
        self.slots[slot as usize].change as usize == place + 1
    }

    fn has_changes(&self) -> bool {
        self.changes.iter().enumerate().any(|(place, &slot)| self.is_change(place, slot))
    }

    fn wastes(&self) -> bool {
        self.stored > 2 * self.size + WASTE
    }

    pub fn is_dirty(&self) -> bool {
        self.whole_due || self.wastes() || self.has_changes()
    }

    /// What is to be written, in segments as `segments.py` describes them; from now on it counts as written.
    ///
    /// Returns whether all windows are to be written, which `next_segment` gives; None where nothing is to be written.
    pub fn take(&mut self, emit: impl FnMut(Vec<u8>)) -> Option<bool> {
        if !self.is_dirty() {
            return None;
        }
        let changes = std::mem::take(&mut self.changes);
        let changed: Vec<u32> =
            changes.iter().enumerate().filter(|&(place, &slot)| self.is_change(place, slot)).map(|(_, &s)| s).collect();
        let whole = self.whole_due || self.wastes();
        self.whole_due = false;
        self.taken_whole = whole;
        self.snapshot = whole.then(|| Snapshot { order: self.in_order(), done: 0, saved: HashMap::new() });
        if !whole {
            let part = |&slot: &u32| (&self.slots[slot as usize].id, self.slots[slot as usize].window.as_ref());
            changed.chunks(IN_SEGMENT).map(|slots| segment(slots.iter().map(part))).for_each(emit);
        }
        self.taken = changed
            .iter()
            .map(|&slot| &self.slots[slot as usize])
            .map(|slot| (slot.id.clone(), slot.window.is_none()))
            .collect();
        for slot in changed {
            self.slots[slot as usize].change = 0;
            if self.slots[slot as usize].window.is_none() {
                self.free_slot(slot);
            }
        }
        Some(whole)
    }

    fn in_order(&self) -> Vec<u32> {
        let next = |&slot: &u32| Some(self.slots[slot as usize].behind).filter(|&slot| slot != NIL);
        std::iter::successors(Some(self.first).filter(|&slot| slot != NIL), next).collect()
    }

    /// One more segment of all windows as they were when they were taken.
    pub fn next_segment(&mut self) -> Option<Vec<u8>> {
        let Snapshot { order, done, saved } = self.snapshot.as_mut()?;
        let slots = &order[*done..order.len().min(*done + IN_SEGMENT)];
        let (slots_of, saved_of) = (&self.slots, &*saved);
        let part = |slot: &u32| match saved_of.get(slot) {
            Some((id, window)) => (id, window.as_ref()),
            None => (&slots_of[*slot as usize].id, slots_of[*slot as usize].window.as_ref()),
        };
        let next = (!slots.is_empty()).then(|| segment(slots.iter().map(part)));
        *done += slots.len();
        next
    }

    /// Nothing of it is on disk any more.
    pub fn mark_all_changed(&mut self) {
        (self.stored, self.whole_due) = (0, true);
    }

    /// What was taken has been written.
    pub fn mark_written(&mut self, size: i64) {
        self.stored = if self.taken_whole { size } else { self.stored + size };
        (self.taken, self.snapshot) = (Vec::new(), None);
    }

    /// What was taken was not written after all.
    pub fn put_back(&mut self) {
        self.snapshot = None;
        let later = std::mem::take(&mut self.changes);
        let later: Vec<u32> =
            later.iter().enumerate().filter(|&(place, &slot)| self.is_change(place, slot)).map(|(_, &s)| s).collect();
        later.iter().for_each(|&slot| self.slots[slot as usize].change = 0);
        for (id, gone) in std::mem::take(&mut self.taken) {
            // A window that is over by now need not be written.
            if gone || self.by_id.contains_key(&id) {
                let slot = self.slot_of(&id);
                self.mark(slot);
            }
        }
        later.into_iter().for_each(|slot| self.mark(slot));
        self.whole_due |= self.taken_whole;
    }

    /// Load a window from disk, in the order in which they were written; none: it is gone.
    pub fn restore(&mut self, id: &[u8], packed: &[u8]) -> Result<(), String> {
        if let Some(&slot) = self.by_id.get(id) {
            self.drop_window(slot);
            if self.slots[slot as usize].change == 0 {
                self.free_slot(slot);
            }
        }
        if packed.len() < HEAD + TIME {
            return Ok(());
        }
        let window = unpacked(packed).ok_or("a damaged failure window")?;
        let slot = self.slot_of(id);
        self.size += room(id) + packed_size(&window);
        self.budget.fetch_sub(window.text.len() as i64, Ordering::Relaxed);
        self.number += 1;
        self.slots[slot as usize].window = Some(window);
        self.link(slot);
        Ok(())
    }

    /// So many bytes on disk have been loaded.
    pub fn restored(&mut self, size: i64) {
        self.stored += size;
    }
}

fn segment<'a>(parts: impl Iterator<Item = (&'a Arc<[u8]>, Option<&'a Window>)> + Clone) -> Vec<u8> {
    let size = |window: Option<&Window>| window.map_or(0, packed_size) as u32;
    let total: usize = parts.clone().map(|(id, window)| id.len() + size(window) as usize + 8).sum();
    let mut segment = Vec::with_capacity(4 + total);
    segment.extend_from_slice(&(parts.clone().count() as u32).to_ne_bytes());
    parts.clone().for_each(|(id, _)| segment.extend_from_slice(&(id.len() as u32).to_ne_bytes()));
    parts.clone().for_each(|(_, window)| segment.extend_from_slice(&size(window).to_ne_bytes()));
    parts.clone().for_each(|(id, _)| segment.extend_from_slice(id));
    for window in parts.filter_map(|(_, window)| window) {
        segment.extend_from_slice(&window.failures.to_ne_bytes());
        segment.extend_from_slice(&(window.text.len() as u32).to_ne_bytes());
        segment.extend_from_slice(&window.text);
        window.times.iter().for_each(|time| segment.extend_from_slice(&time.to_ne_bytes()));
    }
    segment
}

fn packed_size(window: &Window) -> i64 {
    (HEAD + window.text.len() + TIME * window.times.len()) as i64
}

/// Bytes that an id takes on disk at most.
fn room(id: &[u8]) -> i64 {
    if id.is_ascii() { id.len() as i64 } else { 4 * id.iter().filter(|&code| code & 0xC0 != 0x80).count() as i64 }
}

fn unpacked(packed: &[u8]) -> Option<Window> {
    let failures = u32::from_ne_bytes(packed.get(..4)?.try_into().ok()?);
    let size = u32::from_ne_bytes(packed.get(4..HEAD)?.try_into().ok()?) as usize;
    let text = packed.get(HEAD..HEAD.checked_add(size)?)?;
    let times = packed.get(HEAD + size..)?;
    if times.is_empty() || times.len() % TIME != 0 {
        return None;
    }
    let times = times.chunks_exact(TIME).filter_map(|time| Some(f64::from_ne_bytes(time.try_into().ok()?))).collect();
    Some(Window { failures, text: text.into(), times })
}

/// Put a time in its place; where the fullest stretch that holds it begins and ends.
fn put(times: &mut Vec<f64>, time: f64, rules: Rules, now: f64) -> (usize, usize) {
    let findtime = rules.findtime;
    match times.last() {
        Some(&newest) if time < newest => {
            if newest > now && now >= time {
                times.truncate(right(times, now)); // the clock was set back: times in the future mean nothing
            }
            times.insert(right(times, time), time);
            let spans = (left(times, time - findtime)..=left(times, time))
                .map(|start| (start, right(times, times[start] + findtime)));
            spans.max_by_key(|&(start, end)| (end - start, start)).unwrap_or((0, times.len()))
        }
        newest => {
            if newest.is_none() {
                times.reserve_exact(1); // most offenders come only once
            }
            times.push(time);
            (left(times, time - findtime), times.len())
        }
    }
}

/// Two findtimes are enough to be exact about failures that come up to one findtime late.
fn prune(times: &mut Vec<f64>, rules: Rules) {
    if times.len() <= rules.most_failures {
        return;
    }
    let newest = times.last().copied().unwrap_or_default();
    let first = left(times, newest - 2.0 * rules.findtime).max(times.len().saturating_sub(2 * rules.most_failures));
    times.drain(..first);
}

fn left(times: &[f64], time: f64) -> usize {
    times.partition_point(|&other| other < time)
}

fn right(times: &[f64], time: f64) -> usize {
    times.partition_point(|&other| other <= time)
}

/// The lines of a window and further ones, the oldest left out where there is no room; nothing without any.
fn with_lines<'a>(
    text: Box<[u8]>,
    lines: impl ExactSizeIterator<Item = &'a [u8]>,
    most: i64,
    budget: &AtomicI64,
) -> Box<[u8]> {
    let mut joined = Vec::new();
    if most > 0 {
        let several = lines.len() > 1 || !text.is_empty();
        joined.extend_from_slice(&text);
        for (number, line) in lines.enumerate() {
            if number > 0 || !text.is_empty() {
                joined.push(0);
            }
            joined.extend_from_slice(line);
        }
        let mut surplus = if several { separators(&joined) as i64 + 1 - most } else { 0 };
        while several && (surplus > 0 || joined.len() > LINES_LIMIT) && drop_line(&mut joined) {
            surplus -= 1;
        }
    }
    let left = budget.load(Ordering::Relaxed);
    let allowed = text.len() + left.max(0) as usize;
    while joined.len() > allowed {
        if !drop_line(&mut joined) {
            joined = text.to_vec();
            break;
        }
    }
    budget.fetch_sub(joined.len() as i64 - text.len() as i64, Ordering::Relaxed);
    joined.into_boxed_slice()
}

fn separators(text: &[u8]) -> usize {
    memchr::memchr_iter(0, text).count()
}

fn drop_line(text: &mut Vec<u8>) -> bool {
    let end = memchr::memchr(0, text);
    text.drain(..end.map_or(0, |end| end + 1));
    end.is_some()
}
