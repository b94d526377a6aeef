//! A signature as it travels in a header: hexadecimal digits in lower case.

/// How many there are.
const COUNT: usize = 128;

/// The digits of a signature.
pub(super) fn of(signature: [u8; 64]) -> String {
    let mut digits = String::with_capacity(COUNT);
    for byte in signature {
        digits.push(digit(byte >> 4));
        digits.push(digit(byte & 15));
    }
    digits
}

/// The signature of these digits, in one spelling only.
pub(super) fn read(digits: &str) -> Option<[u8; 64]> {
    (digits.len() == COUNT).then_some(())?;
    let mut signature = [0; 64];
    for (byte, pair) in signature.iter_mut().zip(digits.as_bytes().chunks(2)) {
        let &[high, low] = pair else { return None };
        *byte = value_of(high)? << 4 | value_of(low)?;
    }
    Some(signature)
}

fn digit(half: u8) -> char {
    char::from_digit(half.into(), 16).unwrap_or_default()
}

fn value_of(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}
