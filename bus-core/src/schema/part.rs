//! A type of a contract, as generated code names it: its schema, if it has one.
//!
//! Generated code asks `(&TypeOf::<T>::NEW).part()`. Of a type that has a schema the method is found
//! on `TypeOf<T>`, of any other on a reference to it, one step later. So turning the feature on asks
//! nothing of types, as a feature must not; what lacks a schema is named by whoever needs it.

use super::optional::is_optional;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use std::{any::type_name, marker::PhantomData};

/// A type, without a value of it.
#[derive(Debug)]
pub struct TypeOf<T>(PhantomData<fn() -> T>);

impl<T> TypeOf<T> {
    /// The type.
    pub const NEW: Self = Self(PhantomData);
}

/// What is known of a type.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// As the compiler names it.
    pub(super) name: &'static str,
    pub(super) known: Option<Known>,
}

/// Of a type that has a schema.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) schema: fn(&mut SchemaGenerator) -> Schema,
    /// A field of this type may be missing.
    pub(super) is_optional: fn() -> bool,
}

impl Part {
    pub(super) fn of<T: JsonSchema + DeserializeOwned>() -> Self {
        Self {
            name: type_name::<T>(),
            known: Some(Known {
                schema: SchemaGenerator::subschema_for::<T>,
                is_optional: is_optional::<T>,
            }),
        }
    }
}

/// A type that has a schema.
pub trait KnownType {
    /// What is known of it.
    fn part(&self) -> Part;
}

impl<T: JsonSchema + DeserializeOwned> KnownType for TypeOf<T> {
    fn part(&self) -> Part {
        Part::of::<T>()
    }
}

/// Any other type.
pub trait UnknownType {
    /// Its name.
    fn part(&self) -> Part;
}

impl<T> UnknownType for &TypeOf<T> {
    fn part(&self) -> Part {
        Part {
            name: type_name::<T>(),
            known: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Plain;

    #[test]
    #[expect(clippy::needless_borrow, reason = "as generated code asks")]
    fn a_type_without_a_schema_is_known_by_its_name() {
        let known = (&TypeOf::<Vec<Option<u8>>>::NEW).part();
        assert!(known.known.is_some());
        let unknown = (&TypeOf::<Vec<Plain>>::NEW).part();
        assert!(unknown.known.is_none());
        assert!(unknown.name.ends_with("Plain>"), "{}", unknown.name);
        assert!(serde_json::from_str::<Plain>("null").is_ok());
    }
}
