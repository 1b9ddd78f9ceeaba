//! The user's directories: the home directory, and those of the XDG base directory specification.
//!
//! What lives here: which directory counts. A relative path never does, as the specification says:
//! it would be another directory in every working directory, with files of whoever writes there.
//! What does not: what lies in these directories.
#![forbid(unsafe_code)]

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

/// The home directory: `HOME` where that is absolute, else the one in the user database.
#[must_use]
pub fn home() -> Option<PathBuf> {
    home_from(env::var_os("HOME"), user_database)
}

/// The runtime directory, from `XDG_RUNTIME_DIR`. It has no default.
#[must_use]
pub fn runtime() -> Option<PathBuf> {
    absolute(env::var_os("XDG_RUNTIME_DIR"))
}

/// The directory of configuration files: `XDG_CONFIG_HOME`, else `~/.config`.
#[must_use]
pub fn config() -> Option<PathBuf> {
    base(env::var_os("XDG_CONFIG_HOME"), home, ".config")
}

/// The directory of data files: `XDG_DATA_HOME`, else `~/.local/share`.
#[must_use]
pub fn data() -> Option<PathBuf> {
    base(env::var_os("XDG_DATA_HOME"), home, ".local/share")
}

/// The directory of state files: `XDG_STATE_HOME`, else `~/.local/state`.
#[must_use]
pub fn state() -> Option<PathBuf> {
    base(env::var_os("XDG_STATE_HOME"), home, ".local/state")
}

/// The directory of temporary files: `TMPDIR` where that is absolute, else `/tmp`.
#[must_use]
pub fn temporary() -> PathBuf {
    absolute(env::var_os("TMPDIR")).unwrap_or_else(|| "/tmp".into())
}

/// The address of the session's D-Bus, where a library would make a relative path of the
/// environment; `None` where it needs no help.
#[must_use]
pub fn session_bus() -> Option<String> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    let uid = nix::unistd::Uid::effective().as_raw();
    session_bus_from(set("DBUS_SESSION_BUS_ADDRESS"), set("XDG_RUNTIME_DIR"), uid)
}

fn session_bus_from(address: Option<OsString>, runtime: Option<OsString>, uid: u32) -> Option<String> {
    let relative = runtime.is_some() && absolute(runtime).is_none();
    (address.is_none() && relative).then(|| format!("unix:path=/run/user/{uid}/bus"))
}

/// A variable of the environment, for code that reads it by name: `HOME` as [`home`] has it, an XDG
/// directory only where it counts, any other as it is.
#[must_use]
pub fn variable(name: &str) -> Option<OsString> {
    match name {
        "HOME" => home().map(Into::into),
        "XDG_RUNTIME_DIR" | "XDG_CONFIG_HOME" | "XDG_DATA_HOME" | "XDG_STATE_HOME" | "XDG_CACHE_HOME" => {
            absolute(env::var_os(name)).map(Into::into)
        }
        _ => env::var_os(name),
    }
}

fn absolute(value: Option<OsString>) -> Option<PathBuf> {
    value.map(PathBuf::from).filter(|path| path.is_absolute())
}

fn home_from(variable: Option<OsString>, database: impl FnOnce() -> Option<PathBuf>) -> Option<PathBuf> {
    absolute(variable).or_else(|| database().filter(|home| home.is_absolute()))
}

fn base(
    variable: Option<OsString>,
    home: impl FnOnce() -> Option<PathBuf>,
    below_home: &str,
) -> Option<PathBuf> {
    absolute(variable).or_else(|| home().map(|home| home.join(below_home)))
}

/// What the user database says, through every source that the system is configured to ask.
fn user_database() -> Option<PathBuf> {
    // An error is as good as no entry: there is no home to be had.
    nix::unistd::User::from_uid(nix::unistd::Uid::effective()).ok().flatten().map(|user| user.dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_or_empty_path_counts_as_none() {
        for (value, expected) in [
            (Some("/run/user/1"), Some("/run/user/1")),
            (Some(""), None),
            (Some("."), None),
            (Some("run"), None),
            (Some("./run"), None),
            (Some("../run"), None),
            (Some("~/run"), None),
            (None, None),
        ] {
            assert_eq!(absolute(value.map(OsString::from)), expected.map(PathBuf::from), "{value:?}");
        }
    }

    #[test]
    fn the_home_directory_is_the_database_s_where_the_variable_names_none() {
        let database = || Some(PathBuf::from("/home/me"));
        for (variable, expected) in [
            (Some("/elsewhere"), "/elsewhere"),
            (Some(""), "/home/me"),
            (Some("home/me"), "/home/me"),
            (None, "/home/me"),
        ] {
            let found = home_from(variable.map(OsString::from), database);
            assert_eq!(found, Some(PathBuf::from(expected)), "{variable:?}");
        }
        assert_eq!(home_from(None, || None), None);
        assert_eq!(home_from(None, || Some("home".into())), None, "some entries are odd");
    }

    #[test]
    fn a_base_directory_is_its_variable_or_lies_in_the_home_directory() {
        let home = || Some(PathBuf::from("/home/me"));
        for (variable, expected) in [
            (Some("/config"), "/config"),
            (Some("config"), "/home/me/.config"),
            (Some(""), "/home/me/.config"),
            (None, "/home/me/.config"),
        ] {
            let found = base(variable.map(OsString::from), home, ".config");
            assert_eq!(found, Some(PathBuf::from(expected)), "{variable:?}");
        }
        assert_eq!(base(Some("config".into()), || None, ".config"), None);
    }

    #[test]
    fn the_bus_is_not_looked_for_in_the_working_directory() {
        for (address, runtime, expected) in [
            (None, Some("run"), Some("unix:path=/run/user/7/bus")),
            (None, Some("/run/user/7"), None),
            (None, None, None),
            (Some("unix:path=/bus"), Some("run"), None),
        ] {
            let found = session_bus_from(address.map(Into::into), runtime.map(Into::into), 7);
            assert_eq!(found.as_deref(), expected, "{address:?} {runtime:?}");
        }
    }

    #[test]
    fn the_user_database_knows_who_runs_this() {
        // Some build machines run as a user without an entry.
        let listed = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let uid = nix::unistd::Uid::effective().to_string();
        let entry = listed.lines().find(|line| line.split(':').nth(2) == Some(&uid));
        if let Some(home) = entry.and_then(|line| line.split(':').nth(5)) {
            assert_eq!(user_database(), Some(PathBuf::from(home)));
        }
    }
}
