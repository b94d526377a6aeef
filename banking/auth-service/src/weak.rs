//! Passwords that are guessed first: those that many use, and one's own name (NIST SP 800-63B,
//! 3.1.1.2).

/// A line for each, in lower case: what is most often found in lists of stolen ones, of the length
/// that is allowed.
const COMMON: &str = include_str!("common-passwords.txt");

/// `true` if many use this password, whatever the case of its letters.
pub(crate) fn is_common(password: &str) -> bool {
    let password = password.to_lowercase();
    let mut letters = password.chars();
    let first = letters.next();
    letters.all(|letter| Some(letter) == first) || COMMON.lines().any(|common| common == password)
}

/// `true` if a password is the name of its user, or that with digits and signs around it.
pub(crate) fn is_name(password: &str, username: &str) -> bool {
    let (password, username) = (password.to_lowercase(), username.to_lowercase());
    password == username || bare(&password) == bare(&username) && !bare(&username).is_empty()
}

fn bare(text: &str) -> &str {
    text.trim_matches(|letter: char| !letter.is_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_use_is_common_in_any_case() {
        for common in [
            "password",
            "PassWord1",
            "12345678",
            "qwertyuiop",
            "ääääääää",
            "        ",
        ] {
            assert!(is_common(common), "{common}");
        }
        for own in ["pa55 word", "correct horse", "battery staple", "passwords"] {
            assert!(!is_common(own), "{own}");
        }
        for line in COMMON.lines() {
            assert_eq!(line, line.to_lowercase());
        }
    }

    #[test]
    fn ones_own_name_is_no_password() {
        for name in [
            "ada.lovelace",
            "Ada.Lovelace",
            "ada.lovelace1815",
            "!ada.lovelace!",
        ] {
            assert!(is_name(name, "ada.lovelace"), "{name}");
        }
        assert!(is_name("12345678", "12345678"));
        for own in ["ada's secret", "lovelace, ada", "12345679"] {
            assert!(!is_name(own, "ada.lovelace"), "{own}");
        }
        assert!(!is_name("12345679", "12345678"));
    }
}
