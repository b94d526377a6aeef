//! Ids that chance makes unique.

use uuid::Uuid;

/// A random id: by the chance of a simulation, within one.
pub(crate) fn random_id() -> Uuid {
    #[cfg(feature = "simulation")]
    if let Some(id) = crate::simulation::uuid_v4() {
        return id;
    }
    Uuid::new_v4()
}

/// An id that begins with the time, likewise.
pub(crate) fn id_of_now() -> Uuid {
    #[cfg(feature = "simulation")]
    if let Some(id) = crate::simulation::uuid_v7() {
        return id;
    }
    Uuid::now_v7()
}
