//! A directory with the servers of another Debian release, made by `debootstrap`.

use super::{origin::Release, say, state::wait_for};
use crate::{debian, interrupt, process::LOOK_EVERY, program};
use anyhow::{Context as _, bail, ensure};
use replybus_testkit::servers::Installation;
use rustix::process::{Pid, Signal, geteuid, kill_process_group};
use std::{
    env,
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
};

/// The servers, as Debian calls them, and what lets one see another clock on the wall.
const PACKAGES: &str = "rabbitmq-server,redis-server,valkey-server,postgresql,faketime";
/// The file of a tree that says which packages it was made of.
const MADE_OF: &str = "packages";
/// The setting for a mirror that apt does not know.
const MIRROR: &str = "REPLYBUS_DEBIAN_MIRROR";

/// The directory of a release.
pub(super) fn of(release: Release) -> PathBuf {
    directory().join(release.name())
}

fn directory() -> PathBuf {
    crate::checkout().join("target/servers")
}

/// Makes the directory of a release, if it is not there, and runs a program of it.
///
/// # Errors
/// It can't be made, or what is in it can't be run. It says why.
pub(super) fn prepare(release: Release) -> anyhow::Result<()> {
    let name = release.name();
    ensure!(
        geteuid().is_root(),
        "--servers {name} takes root: a server of that release runs with the release's /usr \
         mounted in place of this machine's"
    );
    ensure!(
        program::succeeds(Command::new("unshare").args(["--mount", "true"])),
        "--servers {name} does not work here: this machine lets no process have mounts of its own \
         (unshare --mount fails); a container must be given the capability SYS_ADMIN"
    );
    let tree = of(release);
    fs::create_dir_all(directory())?;
    let lock = directory().join("lock");
    let lock = File::options().create(true).append(true).open(lock)?;
    // Another command may be at it.
    wait_for(&lock)?;
    // One that was made before a package was added lacks that.
    let made_of = fs::read_to_string(tree.join(MADE_OF)).unwrap_or_default();
    if made_of != PACKAGES {
        fetch(name, &tree)?;
    }
    let installation = Installation::tree(tree.clone());
    installation.check().with_context(|| {
        format!(
            "programs of {name} do not run on this machine; if {} is damaged, remove it",
            tree.display()
        )
    })
}

fn fetch(name: &str, tree: &Path) -> anyhow::Result<()> {
    let debootstrap = debootstrap()?;
    let mirror = mirror()?;
    say(format_args!(
        "fetching the servers of Debian {name} into {}, which takes some minutes",
        tree.display()
    ));
    let part = directory().join(format!("{name}.part"));
    let log = directory().join(format!("{name}.log"));
    remove(&part)?;
    let made = run(&debootstrap, name, &part, &mirror, &log);
    if made.is_err() {
        remove(&part)?;
    }
    made?;
    // Packages that have been unpacked.
    remove(&part.join("var/cache/apt/archives"))?;
    fs::write(part.join(MADE_OF), PACKAGES)?;
    remove(tree)?;
    fs::rename(&part, tree)?;
    Ok(())
}

fn remove(directory: &Path) -> anyhow::Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)
            .with_context(|| format!("can't remove {}", directory.display()))?;
    }
    Ok(())
}

/// The program that makes such directories, installed if need be.
fn debootstrap() -> anyhow::Result<PathBuf> {
    let find = || program::find(&["debootstrap", "/usr/sbin/debootstrap"]);
    if find().is_none() && debian::can_install() {
        say("installing the package debootstrap");
        let log = directory().join("install.log");
        if debian::install(&["debootstrap"], &log).is_err() {
            say(format_args!(
                "apt-get could not install debootstrap:\n{}",
                program::log_tail(&log)
            ));
        }
    }
    find().context("debootstrap is not installed, and --servers needs it")
}

/// The address from which packages come: the one that is set, or the one that apt has.
fn mirror() -> anyhow::Result<String> {
    if let Some(set) = env::var(MIRROR).ok().filter(|set| !set.is_empty()) {
        return Ok(set);
    }
    let listed = Command::new("apt-get")
        .args(["indextargets", "--format", "$(LABEL) $(REPO_URI)"])
        .arg("Created-By: Packages")
        .stderr(Stdio::null())
        .output();
    let listed = listed.map(|listed| String::from_utf8_lossy(&listed.stdout).into_owned());
    mirror_in(&listed.unwrap_or_default()).with_context(|| {
        format!("apt has no source of Debian packages: set {MIRROR} to a mirror's address")
    })
}

/// The first source of Debian's own packages in a list of labels and addresses. Without fetched
/// lists apt knows no labels.
fn mirror_in(listed: &str) -> Option<String> {
    let sources = || listed.lines().filter_map(|line| line.split_once(' '));
    let labelled = sources().find(|(label, _)| *label == "Debian");
    let named = || {
        sources().find(|(label, address)| {
            label.is_empty() && address.trim_end_matches('/').ends_with("/debian")
        })
    };
    let (_, address) = labelled.or_else(named)?;
    Some(address.to_owned())
}

/// Runs it to its end, or until told to end. It mounts what it needs where nobody else sees it, so
/// nothing is left mounted whatever happens.
fn run(
    debootstrap: &Path,
    name: &str,
    part: &Path,
    mirror: &str,
    log: &Path,
) -> anyhow::Result<()> {
    let output = File::create(log)?;
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private"])
        .arg(debootstrap)
        .args(["--variant=minbase", &format!("--include={PACKAGES}"), name])
        .arg(part)
        .arg(mirror)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output);
    if let Some(proxy) = proxy() {
        command.env("http_proxy", proxy);
    }
    let mut child = command.spawn().context("can't start debootstrap")?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if let Err(interrupted) = interrupt::check() {
            let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            // It may have ended meanwhile.
            let _ = group.map(|group| kill_process_group(group, Signal::KILL));
            let _ = child.wait();
            return Err(interrupted);
        }
        sleep(LOOK_EVERY);
    };
    if !status.success() {
        bail!(
            "debootstrap could not fetch Debian {name} from apt's mirror or the one in {MIRROR}; the \
             end of {}:\n{}",
            log.display(),
            program::log_tail(log)
        );
    }
    Ok(())
}

/// The proxy by which apt fetches.
fn proxy() -> Option<String> {
    let mut command = Command::new("apt-config");
    command.args(["dump", "--format", "%v%n", "Acquire::http::Proxy"]);
    let said = command.stderr(Stdio::null()).output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    let proxy = said.lines().next()?.trim();
    (!proxy.is_empty()).then(|| proxy.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_a_source_of_debians_own_packages() {
        for (listed, mirror) in [
            (
                "NodeSource http://a/node/\nDebian-Security http://b/debian-security/\n\
                 Debian http://c/debian/\nDebian http://d/debian/\n",
                Some("http://c/debian/"),
            ),
            (
                " http://b/debian-security/\n http://c/debian/\n",
                Some("http://c/debian/"),
            ),
            ("Ubuntu http://a/ubuntu/\n", None),
            ("", None),
        ] {
            assert_eq!(mirror_in(listed).as_deref(), mirror, "{listed}");
        }
    }
}
