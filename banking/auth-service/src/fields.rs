//! The fields of a registration, checked.

use crate::{password::Password, weak};
use contracts::{IdempotencyKey, InvalidUsername, Username, auth::AuthError};
use replybus::{CallId, Context};

const PHONE: &str = "7 to 15 digits are allowed";
const PASSWORD: &str = "8 to 128 characters are allowed";
const PASSWORD_COMMON: &str = "many use this one, and it is guessed first; another is needed";
const PASSWORD_NAME: &str = "it is the username, and is guessed first; another is needed";

/// A registration whose fields are as they must be.
pub(crate) struct Applicant {
    pub(crate) username: String,
    pub(crate) phone: Option<String>,
    pub(crate) password: Password,
    /// What the registration is known by when it is asked for again.
    pub(crate) registered_by: String,
}

impl Applicant {
    /// Of a registration whose password was opened.
    pub(crate) fn checked(
        username: String,
        password: Password,
        phone: Option<String>,
        key: Option<IdempotencyKey>,
    ) -> Result<Self, AuthError> {
        let username = Username::try_from(username)
            .map_err(|_| invalid("username", InvalidUsername::ALLOWED))?;
        check_password("password", &password, username.as_str())?;
        if !phone.as_deref().is_none_or(is_phone) {
            return Err(invalid("phone", PHONE));
        }
        Ok(Self {
            username: username.into(),
            phone,
            password,
            registered_by: known_by(key),
        })
    }
}

/// Refuses a password that nobody may have; `field` is where it was typed.
pub(crate) fn check_password(
    field: &str,
    password: &Password,
    username: &str,
) -> Result<(), AuthError> {
    let password = password.reveal();
    if !(8..=128).contains(&password.chars().count()) {
        Err(invalid(field, PASSWORD))
    } else if weak::is_common(password) {
        Err(invalid(field, PASSWORD_COMMON))
    } else if weak::is_name(password, username) {
        Err(invalid(field, PASSWORD_NAME))
    } else {
        Ok(())
    }
}

/// A registration is known by the key it was given, or else by its call, which can be delivered
/// again after it was carried out.
fn known_by(key: Option<IdempotencyKey>) -> String {
    match key {
        Some(key) => format!("key {key}"),
        None => {
            // A call that came over the bus has one.
            let id = Context::current().call_id();
            id.unwrap_or_else(CallId::new).to_string()
        }
    }
}

fn is_phone(text: &str) -> bool {
    (7..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn invalid(field: &str, allowed: &str) -> AuthError {
    AuthError::Invalid {
        field: field.to_owned(),
        allowed: allowed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(username: &str, password: &str, phone: Option<&str>) -> Option<String> {
        let (username, password) = (username.to_owned(), password.to_owned().into());
        match Applicant::checked(username, password, phone.map(str::to_owned), None) {
            Ok(_) => None,
            Err(AuthError::Invalid { field, .. }) => Some(field),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_username_is_3_to_32_of_what_is_allowed() {
        let longest = "a".repeat(32);
        for allowed in ["ada", "ADA", "a.b", "0_-", "7up", &longest] {
            assert_eq!(refused(allowed, "87 43 21", None), None, "{allowed}");
        }
        let too_long = "a".repeat(33);
        for wrong in [
            "", "ab", ".ab", "_ab", "-ab", "a b", "ada ", " ada", "ada\0", "ada'", "ädä", "аda",
            "a@b", &too_long,
        ] {
            let field = refused(wrong, "87 43 21", None);
            assert_eq!(field.as_deref(), Some("username"), "{wrong:?}");
        }
    }

    #[test]
    fn a_password_is_8_to_128_characters_and_not_bytes() {
        for allowed in ["87 43 21", "äöüäöüäö", "a       ", &"äö".repeat(64)] {
            assert_eq!(refused("ada", allowed, None), None, "{allowed:?}");
        }
        for wrong in [
            "",
            "87 43 2",
            "äöüä",
            &"ab".repeat(65),
            "Password1",
            "Ada-1815",
        ] {
            let field = refused("ada", wrong, None);
            assert_eq!(field.as_deref(), Some("password"), "{wrong:?}");
        }
    }

    #[test]
    fn a_phone_is_7_to_15_digits_or_none() {
        for allowed in ["1234567", "000000000000000"] {
            assert_eq!(refused("ada", "87 43 21", Some(allowed)), None, "{allowed}");
        }
        for wrong in [
            "",
            "123456",
            "1234567890123456",
            "+4915112345",
            "49 151 12345",
            "１２３４５６７",
        ] {
            let field = refused("ada", "87 43 21", Some(wrong));
            assert_eq!(field.as_deref(), Some("phone"), "{wrong:?}");
        }
    }
}
