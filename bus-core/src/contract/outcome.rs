//! The result of a method, seen from the wire.

use serde::{Serialize, de::DeserializeOwned};

/// The result of a method of a service: `Result<T, E>`, both of which travel.
///
/// A method that can't fail returns `Result<T, Never>`; see [`Never`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't travel as the outcome of a call",
    label = "not a `Result` of types that travel",
    note = "a method returns `Result<T, E>`, and both derive Serialize and Deserialize and are Send",
    note = "for a method that can't fail, `E` is `replybus::Never`"
)]
pub trait Outcome: Send + 'static {
    /// The value.
    type Ok: Serialize + DeserializeOwned + Send + 'static;
    /// The handler's own error.
    type Err: Serialize + DeserializeOwned + Send + 'static;

    /// The result itself.
    fn into_result(self) -> Result<Self::Ok, Self::Err>;
}

impl<T, E> Outcome for Result<T, E>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    E: Serialize + DeserializeOwned + Send + 'static,
{
    type Ok = T;
    type Err = E;

    fn into_result(self) -> Self {
        self
    }
}

/// The error of a handler that has none.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, thiserror::Error,
)]
pub enum Never {}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Never {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Never".into()
    }

    /// There is no value of it.
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        false.into()
    }
}
