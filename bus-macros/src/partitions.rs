//! Contracts with `partitions`: the key of each method, and what would break its order.

use crate::{ast::Method, attr::MethodOptions, mistakes::Mistakes, retry};

/// Most partitions; `replybus::limits` says why.
pub(crate) const MAX: u16 = 256;

/// The longest pause of a command that is held while it is put off, in milliseconds.
const HELD_MAX: u64 = 1000;

pub(crate) const NO_BUNDLES: &str =
    "calls of a contract with `partitions` leave one by one: leave `bundles` or `partitions`";

/// The position of the key of a method, which it has exactly where it must.
pub(crate) fn check(
    method: &Method,
    options: &MethodOptions,
    partitioned: bool,
    mistakes: &mut Mistakes,
) -> Option<usize> {
    let mut keys = method.keys.iter();
    let key = keys.next();
    if !partitioned {
        for key in &method.keys {
            let message = "`#[key]` is for contracts with `partitions`: `#[queue_handler(\"account.requests\", partitions = 16)]`";
            mistakes.push(&key.mark, message);
        }
        return None;
    }
    for other in keys {
        let message = "a method has one key: calls are kept in order by one argument";
        mistakes.push(&other.mark, message);
    }
    if let Some(key) = key
        && key.mark.meta.require_path_only().is_err()
    {
        mistakes.push(&key.mark, "`#[key]` stands alone");
    }
    if key.is_none() {
        let message = "in a contract with `partitions` each method has a key: mark the argument that its calls are kept in order by, `#[key] account: String`";
        mistakes.push(&method.sig.ident, message);
    }
    if options.job.is_some() {
        let message = "a job runs beside what comes after it, and so has no place in the order of a contract with `partitions`: put it into another contract";
        mistakes.push(&method.sig.ident, message);
    }
    if let Some(retry) = options.retry
        && retry.max_delay.unwrap_or(retry::DELAY).0 > HELD_MAX
    {
        let message = "in a contract with `partitions` a command that is put off holds up what comes after it: `retry(max_delay = \"1s\")` is the most";
        mistakes.push(&method.sig.ident, message);
    }
    key.map(|key| key.position)
}

#[cfg(test)]
mod tests {
    use super::*;
    use replybus::limits;

    #[test]
    fn limits_are_those_of_the_runtime() {
        assert_eq!(MAX, limits::PARTITIONS_MAX);
        assert_eq!(u128::from(HELD_MAX), limits::RETRY_HELD_MAX.as_millis());
    }
}
