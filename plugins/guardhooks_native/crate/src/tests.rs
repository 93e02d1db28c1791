//! What Python's tests cannot reach: damaged input, and the parts by themselves.

use crate::charset::Set;
use crate::dates::{Dated, Dates, Keep};
use crate::numbers::{ENDLESS, numbers};
use crate::plain::Plain;
use crate::reach::Wild;
use crate::regex::{Regex, Search};
use crate::scan::{Factor, Scan};
use crate::walk::Found;

fn words() -> Set {
    Set::of((0..128u8).filter(|&code| crate::nfa::is_ascii_word(code)))
}

/// `a+b` as the translator writes it.
fn a_plus_b() -> Plain {
    let sets = vec![Set::of(*b"a"), Set::of(*b"b")];
    let code = [0, 3, 1, 0, 1, 1, 1, 2, 2, 4, 2, 1, 0, 3, 3, 0, 4];
    Plain::decode(&code, sets, words(), 5, 2).unwrap()
}

#[test]
fn damaged_code_is_refused() {
    for code in [&[1u32][..], &[99], &[2, 3, 0], &[1, 7, 0], &[3, 9, 0], &[0, 5, 0, 77]] {
        assert!(Plain::decode(code, vec![], words(), 0, 2).is_err(), "{code:?}");
    }
}

#[test]
fn both_engines_agree() {
    let mut regex = Regex::new(&a_plus_b()).unwrap();
    for text in [&b"xxaaab\n"[..], b"aaa\n", b"b\n", b"\n"] {
        let (mut one, mut two, mut search) = ([0; 2], [0; 2], Search::default());
        search.begin(text.len());
        let found = regex.search(text, 0, false, &mut one, &mut search);
        assert_eq!(found, regex.search_linear(text, 0, false, &mut two, &mut search));
        assert!(found != Found::Yes || one == two);
    }
}

#[test]
fn numbers_stand_in_brackets() {
    let found: Vec<_> = numbers(b"a[12] [x] [007] [1][").collect();
    assert_eq!(found.len(), 3);
    assert_ne!(numbers(b"[7]").next(), numbers(b"[007]").next());
    assert_eq!(numbers(format!("[{}]", "9".repeat(40)).as_bytes()).next(), Some(ENDLESS));
}

#[test]
fn a_known_date_is_not_asked_for_again() {
    let mut dates = Dates::new(false, false);
    let wild = vec![Wild { at: 6, low: b'0', high: b'5' }, Wild { at: 7, low: b'0', high: b'9' }];
    let keep = Keep { state: 1, reach: 9, wild, seconds: Some(6), since: 0.0, until: 100.0, long: true };
    let told = Dated { found: true, start: 0, end: 8, time: Some(1010.0), keep: Some(keep) };
    assert_eq!(dates.of(b"10:00:10 x", 1, 50.0, |_, _| told.clone()).3, Some(1010.0));
    let refuse = |_, _| -> Dated { panic!("asked again") };
    assert_eq!(dates.of(b"10:00:42 y", 2, 50.0, refuse).3, Some(1042.0));
    assert_eq!(dates.uses, 1);
    let other = Dated { found: true, start: 0, end: 8, time: Some(7.0), keep: None };
    assert_eq!(dates.of(b"10:01:42 y", 3, 50.0, |_, _| other.clone()).3, Some(7.0));
}

#[test]
fn lines_with_a_needle_are_found() {
    let words = vec![b"from".to_vec()];
    let factor = || Factor::decode(&mut [(0, 0)].into_iter(), &words).unwrap();
    let needles = vec![(b"fail".to_vec(), false, vec![0]), (b"deny".to_vec(), true, vec![1])];
    let scan = Scan::new(needles, vec![factor(), factor()], vec![]).unwrap();
    let data = b"fail x\nok\nfail from\nDeNy from\n";
    let lines: Vec<_> = scan.lines(data).collect();
    assert_eq!(lines, [(0, 6), (10, 19), (20, 29)]);
    let mut rules = vec![];
    let found = lines.iter().map(|&(start, end)| {
        scan.rules_of(data, start..end, &mut rules);
        rules.clone()
    });
    assert_eq!(found.collect::<Vec<_>>(), [vec![], vec![0], vec![1]]);
}
