//! The numbers in brackets of a line or key, such as the process number in `sshd[4242]:`.

/// Digits in brackets, told apart by value and length.
pub type Number = u128;

/// Stands for numbers that are too long to tell apart.
pub const ENDLESS: Number = u128::MAX;
const MOST_DIGITS: usize = 36;

/// Every number in `text`, in order.
pub fn numbers(text: &[u8]) -> impl Iterator<Item = Number> + '_ {
    let mut from = 0;
    std::iter::from_fn(move || {
        while let Some(at) = memchr::memchr(b'[', &text[from..]) {
            let start = from + at + 1;
            let digits = text[start..].iter().take_while(|code| code.is_ascii_digit()).count();
            from = start + digits;
            if digits > 0 && text.get(from) == Some(&b']') {
                from += 1;
                return Some(packed(&text[start..start + digits]));
            }
        }
        None
    })
}

fn packed(digits: &[u8]) -> Number {
    if digits.len() > MOST_DIGITS {
        return ENDLESS;
    }
    let value = digits.iter().fold(0u128, |value, digit| value * 10 + u128::from(digit - b'0'));
    value << 6 | digits.len() as u128
}
