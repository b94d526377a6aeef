//! The account that a server runs as.

use std::fs;

/// An account of this machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Account {
    pub(super) user: u32,
    pub(super) group: u32,
}

impl Account {
    /// `postgres`, or `nobody`, by the machine's list of accounts.
    pub(super) fn of_servers() -> Option<Self> {
        let accounts = fs::read_to_string("/etc/passwd").ok()?;
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| Self::listed(&accounts, name))
    }

    fn listed(accounts: &str, name: &str) -> Option<Self> {
        accounts.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == name).then_some(())?;
            let mut numbers = fields.skip(1).map(str::parse);
            let (user, group) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
            Some(Self { user, group })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_read_from_its_line() {
        let accounts = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65533:nobody:/:/bin/false\n";
        let nobody = Account::listed(accounts, "nobody").unwrap();
        assert_eq!((nobody.user, nobody.group), (65_534, 65_533));
        assert!(Account::listed(accounts, "postgres").is_none());
    }
}
