//! What is wrong with a section `[output]`, as far as it can be seen without putting a text out.

use std::path::Path;

use crate::config::{Backend, OutputConfig};
use crate::desktop::uinput;
use crate::error::OutputError;
use crate::post::Post;
use crate::sink;

/// Everything that would keep the sink of this section from working here. Other profiles are not
/// looked at.
#[must_use]
pub fn problems(config: &OutputConfig) -> Vec<OutputError> {
    let sink = sink::check(config).and_then(|()| match (config.sink, config.command.first()) {
        (Backend::Command, Some(program)) => is_there(program),
        _ => Ok(()),
    });
    [sink, Post::open(config).map(drop), layout(config)].into_iter().filter_map(Result::err).collect()
}

/// The layout that `uinput` types in is one that XKB knows.
fn layout(config: &OutputConfig) -> Result<(), OutputError> {
    config.uinput_layout.as_ref().map_or(Ok(()), uinput::is_known)
}

/// Whether a program can be found as the shell finds it.
fn is_there(program: &str) -> Result<(), OutputError> {
    let found = if program.contains('/') {
        Path::new(program).is_file()
    } else {
        std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
    };
    if found { Ok(()) } else { Err(OutputError::NoProgram { program: program.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_named_and_what_can_is_not() {
        for (toml, parts) in [
            ("", &[][..]),
            ("sink = 'auto'", &[]),
            ("sink = 'command'\ncommand = ['cat']", &[]),
            ("sink = 'command'\ncommand = ['/bin/sh', '-c', 'cat']", &[]),
            ("sink = 'file'\nfile_path = '/tmp/texts'", &[]),
            // Of another sink.
            ("command = ['']\nfile_path = ''", &[]),
            ("sink = 'command'", &["names no program"]),
            ("sink = 'command'\ncommand = ['']", &["names no program"]),
            ("sink = 'command'\ncommand = ['no-such-program']", &["`no-such-program` was not found"]),
            ("sink = 'command'\ncommand = ['/no/such']", &["`/no/such` was not found"]),
            ("sink = 'file'\nfile_path = ' '", &["`output.file_path` is empty"]),
            ("sink = 'file'\nfile_path = '/no/such/folder/x'", &["no directory /no/such/folder"]),
            ("post_command = ['']", &["`output.post_command` names no program"]),
            ("sink = 'uinput'", &["`output.uinput_layout` names no layout"]),
            ("rules = [{ app = 'x', sink = 'uinput' }]", &["`output.uinput_layout` names no layout"]),
            ("sink = 'command'\npost_command = ['']", &["names no program", "post_command"]),
        ] {
            let config: OutputConfig = toml::from_str(toml).unwrap();
            let errors: Vec<String> = problems(&config).iter().map(ToString::to_string).collect();
            assert_eq!(errors.len(), parts.len(), "{toml}: {errors:?}");
            for (error, part) in errors.iter().zip(parts) {
                assert!(error.contains(part), "{toml}: {error:?} lacks {part:?}");
            }
        }
    }

    #[test]
    fn a_layout_that_xkb_does_not_know_is_named() {
        if !Path::new("/usr/share/X11/xkb/symbols/us").exists() {
            println!("skipped: no tables of XKB here, install the package `xkb-data`");
            return;
        }
        let errors = |name: &str| {
            let config = format!("sink = 'uinput'\nuinput_layout = '{name}'");
            problems(&toml::from_str(&config).unwrap())
        };
        assert!(errors("us").is_empty());
        let [OutputError::NoLayout { layout }] = &errors("klingon")[..] else {
            panic!("{:?}", errors("klingon"))
        };
        assert_eq!(layout, "klingon");
    }
}
