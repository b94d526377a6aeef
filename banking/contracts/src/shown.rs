//! Texts that are shown to people.

/// Characters of a line that is shown. Ours have about 80.
pub const SHOWN_CHARS_MAX: usize = 256;

/// A text as it may be shown on a page and in a list: one line of at most [`SHOWN_CHARS_MAX`]
/// characters, without those that nobody sees and that change how the others are read: control
/// characters, directions of writing, and marks without a width.
#[must_use]
pub fn shown(text: &str) -> String {
    let seen = text.chars().filter(|letter| !is_unseen(*letter));
    seen.take(SHOWN_CHARS_MAX).collect()
}

/// The characters of Unicode's categories Cc, Cf, Zl and Zp, as far as fonts and browsers give them
/// a meaning.
fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_left_out_and_the_rest_is_bounded() {
        let told = "You received 10.00 from bob\u{202e}dnalgnE\u{2066}\0\n\r\t\u{7f}\u{200d}!";
        assert_eq!(shown(told), "You received 10.00 from bobdnalgnE!");
        let plain = "Người gửi: <b>đồng</b> 10.00 €";
        assert_eq!(shown(plain), plain);
        let long = "x".repeat(200_000);
        assert_eq!(shown(&long).len(), SHOWN_CHARS_MAX);
    }
}
