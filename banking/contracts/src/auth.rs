//! Users: registration and sessions.

use crate::{AccountNumber, IdempotencyKey, Refused, ServiceHealth, UserId};
use replybus::{
    Never, queue_handler,
    sealed::{NotOpened, NotSealed, OpeningKey, Sealed, SealingKey},
};
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// The metadata that says which client the gateway was asked by: its address, or its network. Wrong
/// passwords are counted by it; without one, those of all who have none are counted together.
pub const CLIENT: &str = "client";

/// Users and their sessions.
///
/// `register`, `login` and `change_password` are marked as queries though they write: then no
/// broker keeps a message with a password, sealed as it is, on disk or as a dead letter. All may be
/// repeated: a registration that stopped half way, or whose answer was lost, is gone on with by the
/// same password, phone and key, and a login makes another session.
#[queue_handler("auth.requests", timeout = "10s")]
pub trait Auth {
    /// Makes a user and has their account opened.
    #[query]
    async fn register(&self, registration: Registration) -> Result<Registered, AuthError>;

    /// Begins a session.
    #[query]
    async fn login(&self, login: Login) -> Result<LoggedIn, AuthError>;

    /// Gives the user whose session the call carries another password, and ends all their other
    /// sessions. Asked again it does nothing more.
    #[query]
    async fn change_password(&self, change: PasswordChange) -> Result<(), AuthError>;

    /// Ends the session that the call carries. One that has ended already is refused.
    async fn logout(&self) -> Result<(), AuthError>;

    /// The health of the service.
    #[query]
    async fn health(&self) -> Result<ServiceHealth, Never>;
}

/// Whom to register.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Registration {
    /// 3 to 32 letters, digits, `_`, `-` and `.`, beginning with a letter or digit; names that
    /// differ only by case are the same.
    pub username: String,
    /// 8 to 128 characters.
    pub password: Password,
    /// 7 to 15 digits (ITU-T E.164), with no sign.
    pub phone: Option<String>,
    /// The caller's name for it: asked again under it, with the same password and phone, the answer
    /// is the same. Without one a name is taken from the first time on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<IdempotencyKey>,
}

/// Credentials for a session.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Login {
    /// The name or phone they registered with.
    pub who: LoginName,
    /// Their password.
    pub password: Password,
}

/// Another password for a user.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PasswordChange {
    /// The one they have.
    pub current: Password,
    /// The one they want; as at their registration.
    pub new: Password,
}

/// The name of a user at login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LoginName {
    /// By name.
    Username(String),
    /// By phone, digits only.
    Phone(String),
}

/// A password on its way: sealed to the auth service, which alone can read it, for one
/// [purpose]. Not shown by `Debug`.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Password(Sent);

/// What is sealed is in a map, so that an auth service that knows of none refuses it, and takes it for no
/// password.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
enum Sent {
    Sealed {
        sealed: Sealed<String>,
    },
    /// By a gateway of a version that sealed none.
    Clear(String),
}

/// What passwords are sealed for.
pub mod purpose {
    use super::LoginName;

    /// Of the password that is there, when it is changed by who has this session.
    #[must_use]
    pub fn of_current(session: &str) -> String {
        format!("change password: current of {session}")
    }

    /// Of the one that is to be.
    #[must_use]
    pub fn of_new(session: &str) -> String {
        format!("change password: new of {session}")
    }

    /// Of the password of a new user.
    #[must_use]
    pub fn of_registration(username: &str) -> String {
        format!("register: {username}")
    }

    /// Of a password at login.
    #[must_use]
    pub fn of_login(who: &LoginName) -> String {
        match who {
            LoginName::Username(name) => format!("log in: name {name}"),
            LoginName::Phone(phone) => format!("log in: phone {phone}"),
        }
    }
}

impl Password {
    /// Seals a password for a purpose.
    ///
    /// # Errors
    /// The key is none that keeps secrets.
    pub fn seal(password: &String, key: &SealingKey, purpose: &str) -> Result<Self, NotSealed> {
        let sealed = Sealed::new(password, key, purpose)?;
        Ok(Self(Sent::Sealed { sealed }))
    }

    /// A password as a gateway of an older version sent it, which everybody can read on its way.
    #[must_use]
    pub fn clear(password: String) -> Self {
        Self(Sent::Clear(password))
    }

    /// The secret itself, if it was sealed for that purpose.
    ///
    /// # Errors
    /// It was sealed for another purpose or to another key, or altered.
    pub fn open(self, key: &OpeningKey, purpose: &str) -> Result<String, NotOpened> {
        match self.0 {
            Sent::Sealed { sealed } => sealed.open(key, purpose),
            Sent::Clear(password) => Ok(password),
        }
    }

    /// Whether it could be read by anybody on its way.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        matches!(self.0, Sent::Clear(_))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// A new user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Registered {
    /// The user's id.
    pub id: UserId,
    /// Their phone, masked but for 2 digits on each side.
    pub phone: Option<String>,
    /// Their name.
    pub username: String,
    /// Their account.
    pub account_number: AccountNumber,
    /// What is on it, in minor units.
    pub balance: i64,
}

/// A new session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LoggedIn {
    /// The token that carries the session; a secret.
    pub session: String,
    /// Their phone, masked but for 2 digits on each side.
    pub phone: Option<String>,
    /// Their name.
    pub username: String,
    /// Their account.
    pub account_number: AccountNumber,
    /// What is on it, in minor units.
    pub balance: i64,
}

impl fmt::Debug for LoggedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoggedIn")
            .field("username", &self.username)
            .field("account_number", &self.account_number)
            .finish_non_exhaustive()
    }
}

/// The reason why there is no user or no session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum AuthError {
    /// Another user has the name.
    #[error("Username already taken")]
    UsernameTaken,
    /// Another user has the phone.
    #[error("Phone already registered")]
    PhoneTaken,
    /// A field is not as it must be: its name and what is allowed.
    #[error("{field}: {allowed}")]
    Invalid {
        /// The field.
        field: String,
        /// The values that are allowed, in words.
        allowed: String,
    },
    /// There is no such user, or the password is another.
    #[error("Invalid credentials")]
    InvalidCredentials,
    /// The password that a user says they have is not theirs.
    #[error("The current password is wrong")]
    WrongPassword,
    /// Too many passwords are being checked.
    #[error("Too many logins, try again later")]
    Busy,
    /// Too many passwords were wrong for this name or phone, whether or not it is somebody's.
    #[error("Too many wrong passwords, try again in {retry_after} s")]
    TooManyGuesses {
        /// Seconds until the next is looked at; at least 1.
        retry_after: u64,
    },
    /// A refusal that any service may give.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// The key that names are compared by: they differ by more than the case of ASCII letters, and have
/// no others.
#[must_use]
pub fn username_key(username: &str) -> String {
    username.to_ascii_lowercase()
}

/// Masks all but the first and last 2 digits; all of them if there are fewer than 5.
#[must_use]
pub fn mask_phone(phone: &str) -> String {
    let shown = if phone.len() < 5 { 0 } else { 2 };
    let hidden = phone.len() - 2 * shown;
    phone
        .char_indices()
        .map(|(place, digit)| {
            if place < shown || place >= shown + hidden {
                digit
            } else {
                '*'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use replybus::{ContentType, codec};

    #[test]
    fn a_masked_phone_shows_two_digits_on_each_side() {
        assert_eq!(mask_phone("4915112345678"), "49*********78");
        assert_eq!(mask_phone("12345"), "12*45");
        assert_eq!(mask_phone("1234"), "****");
        assert_eq!(mask_phone(""), "");
    }

    #[test]
    fn a_password_is_sealed_on_its_way_and_that_of_an_older_gateway_is_read() {
        let key = OpeningKey::from_bytes("test", &[7; 32]).unwrap();
        let password = "open sesame".to_owned();
        let (new, current) = (purpose::of_new("a.b.c"), purpose::of_current("a.b.c"));
        let sealed = Password::seal(&password, &key.sealing_key(), &new).unwrap();
        for (sent, is_clear) in [(sealed, false), (Password::clear(password), true)] {
            for content_type in [ContentType::MessagePack, ContentType::Json] {
                let body = codec::encode(content_type, &sent, 1024).unwrap();
                let shown = String::from_utf8_lossy(&body);
                assert_eq!(shown.contains("open sesame"), is_clear, "{shown}");
                let read: Password = codec::decode(content_type, &body).unwrap();
                assert_eq!(read.is_clear(), is_clear);
                let wrong = read.clone().open(&key, &current);
                assert_eq!(wrong.is_ok(), is_clear);
                assert_eq!(read.open(&key, &new).unwrap(), "open sesame");
                // A service of an older version.
                let older = codec::decode::<String>(content_type, &body);
                assert_eq!(older.is_ok(), is_clear);
            }
        }
    }

    #[test]
    fn no_debug_shows_a_secret() {
        let login = Login {
            who: LoginName::Username("ada".to_owned()),
            password: Password::clear("open sesame".to_owned()),
        };
        assert!(!format!("{login:?}").contains("sesame"));
        let session = LoggedIn {
            session: "a.token".to_owned(),
            phone: None,
            username: "ada".to_owned(),
            account_number: AccountNumber::draw(),
            balance: 0,
        };
        assert!(!format!("{session:?}").contains("token"));
    }
}
