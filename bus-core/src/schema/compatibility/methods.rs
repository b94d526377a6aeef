//! The changes of one method.

use super::{
    super::document::{Kind, MethodSchema, TypeSchema},
    Changes, Impact, read_by_new, read_by_old,
};
use serde_json::Value;

const OLD_CALLER: &str = "a caller with the old contract";
const NEW_CALLER: &str = "a caller with the new contract";
const OLD_SERVICE: &str = "a service with the old one";
const NEW_SERVICE: &str = "a service with the new one";

impl Changes<'_> {
    pub(super) fn method(&mut self, subject: &str, old: &MethodSchema, new: &MethodSchema) {
        let before = self.found.len();
        self.nature(subject, old, new);
        if self.streams(subject, old, new) {
            self.types(subject, old, new);
        }
        // What is written in the document may be of another time.
        let prints = (
            old.fingerprint_of(&self.old.definitions),
            new.fingerprint_of(&self.new.definitions),
        );
        if self.found.len() == before && prints.0 != prints.1 {
            let reason = "changed, and each side reads what the other writes";
            self.add(Impact::Compatible, subject, "", reason);
        }
        let times = (old.timeout_ms, old.job_ms) != (new.timeout_ms, new.job_ms);
        if times {
            let reason = match (old.job_ms, new.job_ms) {
                (None, None) => format!("is {} ms, and was {}", new.timeout_ms, old.timeout_ms),
                _ => "is another".to_owned(),
            };
            self.add(Impact::Compatible, subject, "timeout", reason);
        }
    }

    /// What a method is.
    fn nature(&mut self, subject: &str, old: &MethodSchema, new: &MethodSchema) {
        match (old.kind, new.kind) {
            (Kind::Query, Kind::Command) => self.add(
                Impact::Breaking,
                subject,
                "kind",
                "is a command now: callers with the old contract repeat it freely, and send it as \
                 what the broker may lose",
            ),
            (Kind::Command, Kind::Query) => self.add(
                Impact::Compatible,
                subject,
                "kind",
                "is a query now: what was claimed under its key before is run again",
            ),
            _ => {}
        }
        if old.key != new.key {
            let shown = |key: &Option<String>| match key {
                Some(key) => format!("by `{key}`"),
                None => "by nothing".to_owned(),
            };
            let reason = format!(
                "orders calls {} now, and callers with the old contract order them {}",
                shown(&new.key),
                shown(&old.key)
            );
            self.add(Impact::Breaking, subject, "key", reason);
        }
    }

    /// Which parts of it are streams; `true` if these are the same.
    fn streams(&mut self, subject: &str, old: &MethodSchema, new: &MethodSchema) -> bool {
        let before = self.found.len();
        if old.stream != new.stream {
            let is = if new.stream {
                "is a stream now"
            } else {
                "is no stream any more"
            };
            let reason = format!("{is}, which callers with the old contract do not expect");
            self.add(Impact::Breaking, subject, "reply", reason);
        }
        let argument = |of: &MethodSchema| of.fed.as_ref().map(|fed| fed.argument.clone());
        if argument(old).is_some() != argument(new).is_some() {
            let is = match argument(new) {
                Some(name) => format!("`{name}` is a stream now"),
                None => "none of them is a stream any more".to_owned(),
            };
            let reason = format!("{is}, and callers with the old contract are refused");
            self.add(Impact::Breaking, subject, "arguments", reason);
        }
        self.found.len() == before
    }

    /// What travels: the arguments to the service, the rest to the caller.
    fn types(&mut self, subject: &str, old: &MethodSchema, new: &MethodSchema) {
        let never = never();
        let fed = old.fed.as_ref().zip(new.fed.as_ref());
        let fed = fed.map(|(old, new)| ("stream[]", &old.item, &new.item));
        let arguments = Some(("arguments", &old.arguments, &new.arguments));
        let errors = (old.error.as_ref(), new.error.as_ref());
        let errors = (errors.0.unwrap_or(&never), errors.1.unwrap_or(&never));
        let reply = if new.stream { "reply[]" } else { "reply" };
        let replies = [
            (reply, &old.reply, &new.reply),
            ("error", errors.0, errors.1),
        ];

        for (part, old, new) in arguments.into_iter().chain(fed) {
            let unread = read_by_new(self, old, new, (OLD_CALLER, NEW_SERVICE));
            self.problems(Impact::Breaking, subject, part, unread);
        }
        for (part, old, new) in replies {
            let parties = (
                "a service with the new contract",
                "a caller with the old one",
            );
            let unread = read_by_old(self, old, new, parties);
            self.problems(Impact::Breaking, subject, part, unread);
        }
        for (part, old, new) in arguments.into_iter().chain(fed) {
            let unread = read_by_old(self, old, new, (NEW_CALLER, OLD_SERVICE));
            self.problems(Impact::ServiceFirst, subject, part, unread);
        }
        for (part, old, new) in replies {
            let parties = (
                "a service with the old contract",
                "a caller with the new one",
            );
            let unread = read_by_new(self, old, new, parties);
            self.problems(Impact::ServiceFirst, subject, part, unread);
        }
    }
}

/// The type of what is not there.
fn never() -> TypeSchema {
    TypeSchema::of(Value::Bool(false), Value::Bool(false))
}
