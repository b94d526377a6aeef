//! What a contract says of the types of its methods: with the feature `schema` the function by
//! which generated code names them, without it nothing.

#[cfg(feature = "schema")]
use crate::schema::Description;

/// What generated code says of the types of a contract. It takes no part in whether two contracts
/// are equal: those that it describes are in their signatures.
#[derive(Debug, Clone, Copy)]
pub struct Described {
    #[cfg(feature = "schema")]
    by: Option<fn(&mut Description)>,
}

impl Described {
    /// Of a contract that was written by hand.
    pub const NOTHING: Self = Self {
        #[cfg(feature = "schema")]
        by: None,
    };

    /// Of a contract that a macro wrote.
    #[cfg(feature = "schema")]
    pub const fn by(described: fn(&mut Description)) -> Self {
        Self {
            by: Some(described),
        }
    }

    /// The types, if they are known.
    #[cfg(feature = "schema")]
    pub(crate) fn description(self) -> Option<Description> {
        self.by.map(|described| {
            let mut description = Description::default();
            described(&mut description);
            description
        })
    }
}

impl PartialEq for Described {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Described {}

/// What generated code says of its types.
#[cfg(feature = "schema")]
#[doc(hidden)]
#[macro_export]
macro_rules! __described {
    ($($description:tt)*) => { $crate::__private::Described::by($($description)*) };
}

/// Without the feature `schema` nothing is said of types, and nothing is asked of them.
#[cfg(not(feature = "schema"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __described {
    ($($description:tt)*) => {
        $crate::__private::Described::NOTHING
    };
}
