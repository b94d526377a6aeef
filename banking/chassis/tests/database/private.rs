//! What SQLite writes is its owner's alone.

use crate::migrations;
use chassis::{Database, settings::PlatformSettings};
use std::{fs, os::unix::fs::PermissionsExt as _};

#[tokio::test]
async fn only_their_owner_may_read_files_of_sqlite() {
    let directory = std::env::temp_dir().join(format!("private-{}", uuid::Uuid::new_v4()));
    let settings = PlatformSettings::with_database(&format!("sqlite:{}", directory.display()));
    let modes = || {
        let mut modes = Vec::new();
        for file in fs::read_dir(&directory).unwrap() {
            let file = file.unwrap();
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            modes.push((file.file_name().into_string().unwrap(), mode));
        }
        modes.sort();
        modes
    };
    let all = ["notes.db", "notes.db-shm", "notes.db-wal"];
    let private = all.map(|name| (name.to_owned(), 0o600));

    let database = Database::open(&settings, "notes", &migrations()).await;
    let database = database.unwrap();
    assert_eq!(modes(), private);
    let kept = fs::metadata(&directory).unwrap().permissions().mode();
    assert_eq!(kept & 0o777, 0o700);
    database.close().await;

    // As a version before left them.
    for (name, _) in modes() {
        let everybodys = fs::Permissions::from_mode(0o644);
        fs::set_permissions(directory.join(name), everybodys).unwrap();
    }
    let database = Database::open(&settings, "notes", &migrations()).await;
    let database = database.unwrap();
    assert_eq!(modes(), private);
    database.close().await;
    fs::remove_dir_all(&directory).unwrap();
}
