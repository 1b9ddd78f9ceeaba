//! A configuration without hardware, which tests change where they want something else.

use std::path::Path;

/// The control socket as the keyboard, nobody who could lock the screen, `clips` as the microphone, one per take, in real
/// time, the canned engine, no chimes, texts to nowhere; then `more`, which adds to it or replaces what is there.
///
/// # Panics
/// When `more` is not TOML.
#[must_use]
pub fn hardware_free(clips: &[&Path], more: &str) -> String {
    let mut base: toml::Table = toml::from_str(
        "keyboard.backend = 'control'\nkeyboard.session = false\naudio.backend = 'wav'\n\
         stt.backend = 'canned'\nstt.strategy = 'batch'\nfeedback.backend = 'silent'\n\
         output.sink = 'file'\noutput.file_path = '/dev/null'\nlog.filter = 'debug'",
    )
    .expect("the base is TOML");
    let clips = clips.iter().map(|clip| toml::Value::String(clip.display().to_string())).collect();
    let audio = base.get_mut("audio").and_then(toml::Value::as_table_mut).expect("the base has this section");
    audio.insert("wav".to_owned(), toml::Value::Array(clips));
    let more: toml::Table = toml::from_str(more).unwrap_or_else(|error| panic!("{error}"));
    merge(&mut base, more);
    base.to_string()
}

fn merge(into: &mut toml::Table, more: toml::Table) {
    for (key, value) in more {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) => merge(old, new),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_adds_and_replaces() {
        let text = hardware_free(&[Path::new("a.wav")], "stt.backend = 'whisper'\ncontroller.once = true");
        let table: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(table["stt"]["backend"].as_str(), Some("whisper"));
        assert_eq!(table["stt"]["strategy"].as_str(), Some("batch"));
        assert_eq!(table["controller"]["once"].as_bool(), Some(true));
        assert_eq!(table["audio"]["wav"][0].as_str(), Some("a.wav"));
    }
}
