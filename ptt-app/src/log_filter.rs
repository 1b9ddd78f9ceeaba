//! `log.filter`: a level, or a level with exceptions by crate. Pure.
//!
//! The library that reads filters takes any word for the name of a crate, so that a mistyped level
//! would switch the log off. Here a word is a level or a crate that logs.

use tracing_subscriber::EnvFilter;

/// The levels.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// Our crates, as their lines are called in a filter.
const OURS: [&str; 10] = [
    "ptt_app",
    "ptt_audio",
    "ptt_controller",
    "ptt_feedback",
    "ptt_keyboard",
    "ptt_messages",
    "ptt_output",
    "ptt_resources",
    "ptt_slice",
    "ptt_stt",
];
/// Libraries that call it an error when a connection ends, which we log in words of our own.
const NOISY: [&str; 2] = ["pulseaudio", "wayland_backend"];

/// Reads a filter such as `info` or `info,ptt_audio=debug`. What no level is given for is logged from
/// warnings on.
///
/// # Errors
/// What is wrong with it and what is allowed.
pub fn parse(filter: &str) -> Result<EnvFilter, String> {
    let wrong = |why: String| {
        format!("log.filter = {filter:?}: {why}; use a level such as \"info\", or \"info,ptt_audio=debug\"")
    };
    let parts: Vec<&str> = filter.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return Err(wrong("it is empty".to_owned()));
    }
    for part in &parts {
        check(part).map_err(wrong)?;
    }
    let has_default = parts.iter().any(|part| is_level(part));
    let quiet = NOISY.into_iter().filter(|noisy| !filter.contains(noisy)).map(|noisy| format!("{noisy}=off"));
    let all = std::iter::once("warn".to_owned()).filter(|_| !has_default);
    let all = all.chain(parts.iter().map(|part| part.to_lowercase())).chain(quiet);
    EnvFilter::try_new(all.collect::<Vec<_>>().join(",")).map_err(|error| wrong(error.to_string()))
}

fn is_level(word: &str) -> bool {
    LEVELS.contains(&word.to_lowercase().as_str())
}

fn check(part: &str) -> Result<(), String> {
    let (target, level) = match part.split_once('=') {
        Some((target, level)) => (Some(target.trim()), Some(level.trim())),
        None if is_level(part) => (None, None),
        None => (Some(part), None),
    };
    if let Some(level) = level.filter(|level| !is_level(level)) {
        return Err(format!("{level:?} is no level ({}){}", LEVELS.join(", "), hint(level, &LEVELS)));
    }
    let Some(target) = target else { return Ok(()) };
    let target = target.to_lowercase();
    // Parts of a crate are `crate::module`; spans and fields stand in brackets.
    let name = target.split([':', '[']).next().unwrap_or_default();
    let is_ours = OURS.contains(&name);
    let is_other = level.is_some() && !name.is_empty() && !name.starts_with("ptt");
    if is_ours || is_other || NOISY.contains(&name) {
        return Ok(());
    }
    let known: Vec<&str> = if level.is_some() { OURS.to_vec() } else { [&LEVELS[..], &OURS].concat() };
    Err(format!("{name:?} is neither a level nor a part of this program that logs{}", hint(name, &known)))
}

fn hint(word: &str, known: &[&str]) -> String {
    let word = word.to_lowercase();
    let likeness = |name: &&&str| (strsim::normalized_damerau_levenshtein(&word, name) * 1e3) as u32;
    match known.iter().max_by_key(likeness).filter(|name| likeness(name) >= 600) {
        Some(name) => format!("; did you mean {name:?}?"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_silence_the_log_by_mistake_is_refused() {
        for (filter, parts) in [
            ("loud", &["log.filter = \"loud\"", "\"loud\" is neither a level", "\"info\""][..]),
            ("inof", &["did you mean \"info\"?"]),
            ("wran,ptt_audio=debug", &["did you mean \"warn\"?"]),
            ("info,ptt_audoi=debug", &["\"ptt_audoi\"", "did you mean \"ptt_audio\"?"]),
            ("info,ptt-audio=debug", &["did you mean \"ptt_audio\"?"]),
            ("info,ptt_audio=dbug", &["\"dbug\" is no level", "did you mean \"debug\"?"]),
            ("info,=", &["is no level"]),
            ("info,=debug", &["\"\" is neither"]),
            ("5", &["is neither a level"]),
            ("", &["it is empty"]),
            (" , ", &["it is empty"]),
            ("info,ptt_audio[", &["log.filter"]),
        ] {
            let error = parse(filter).map(|good| good.to_string()).unwrap_err();
            for part in parts {
                assert!(error.contains(part), "{filter}: {error:?} lacks {part:?}");
            }
        }
    }

    #[test]
    fn levels_and_crates_are_filters() {
        for filter in [
            "off",
            "INFO",
            "trace",
            "info,ptt_audio=debug",
            "warn, ptt_keyboard::source=trace",
            "ptt_audio",
            "info,zbus=debug",
            "debug,pulseaudio=info",
        ] {
            assert!(parse(filter).is_ok(), "{filter}");
        }
    }

    #[test]
    fn warnings_are_logged_whatever_crate_is_looked_at() {
        for (filter, default) in [("ptt_audio=debug", "warn"), ("error,ptt_audio=debug", "error")] {
            let parsed = parse(filter).unwrap().to_string();
            assert!(parsed.split(',').any(|part| part == default), "{filter}: {parsed}");
        }
        let quiet = parse("info").unwrap().to_string();
        assert!(quiet.contains("pulseaudio=off") && quiet.contains("wayland_backend=off"), "{quiet}");
        assert!(!parse("info,pulseaudio=debug").unwrap().to_string().contains("pulseaudio=off"));
    }
}
