//! What may not reach a sink. Pure.
//!
//! A transcript is somebody else's words: a video in the room can dictate. What can steer a terminal, reorder or hide
//! text is removed before any sink sees it; every visible character stays.

use std::borrow::Cow;

/// Returns `text` without control characters, invisible direction marks and tag characters; a run of line breaks and
/// tabs becomes one space, so that words stay apart and a text stays one line. Borrows when there is nothing to do.
///
/// Filtering twice is the same as filtering once.
#[must_use]
pub fn filter(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| verdict(c) == Verdict::Keep) {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len());
    let mut broken = false;
    for c in text.chars() {
        match verdict(c) {
            Verdict::Keep => {
                kept.push(c);
                broken = false;
            }
            Verdict::Space if broken => {}
            Verdict::Space => {
                kept.push(' ');
                broken = true;
            }
            Verdict::Drop => {}
        }
    }
    Cow::Owned(kept)
}

/// As [`filter`], but the line breaks `\n` and `\r\n` stay: for a text in which only the user can have put them.
pub(crate) fn filter_lines(text: &str) -> Cow<'_, str> {
    if text.split('\n').all(|line| matches!(filter(line), Cow::Borrowed(_))) {
        return Cow::Borrowed(text);
    }
    let lines = text.split('\n').map(|line| filter(line.strip_suffix('\r').unwrap_or(line)));
    Cow::Owned(lines.collect::<Vec<_>>().join("\n"))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Keep,
    Space,
    Drop,
}

const fn verdict(c: char) -> Verdict {
    match c {
        // Everything that ends a line somewhere (NEL and the two separators included), and the tab.
        '\t'..='\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => Verdict::Space,
        // C0, DEL and C1.
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => Verdict::Drop,
        // Directional embeddings, overrides and isolates: text would not read as it is stored ("Trojan Source").
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => Verdict::Drop,
        // The direction marks (ALM, LRM, RLM) too: no engine writes them and a reader cannot see them. The zero-width
        // joiners U+200C and U+200D stay: Persian words and emoji are spelt with them.
        '\u{61c}' | '\u{200e}' | '\u{200f}' => Verdict::Drop,
        // Deprecated format characters, the byte order mark, interlinear annotation.
        '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' => Verdict::Drop,
        // Tag characters: a whole hidden alphabet.
        '\u{e0000}'..='\u{e007f}' => Verdict::Drop,
        _ => Verdict::Keep,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn visible_text_stays_and_the_rest_goes() {
        for (given, expected) in [
            ("Grüße, 你好 😀 👩\u{200d}🚀 می\u{200c}خواهم", "Grüße, 你好 😀 👩\u{200d}🚀 می\u{200c}خواهم"),
            ("two\nlines", "two lines"),
            ("windows\r\n\tindented", "windows indented"),
            ("a\u{2028}b\u{85}c", "a b c"),
            ("\u{1b}[201~rm -rf ~\u{3}", "[201~rm -rf ~"),
            ("\u{202e}live\u{202c} \u{2066}x\u{2069}\u{200f}", "live x"),
            ("\u{9b}31mred\u{7f}", "31mred"),
            ("🏴\u{e0067}\u{e0062}\u{e007f}", "🏴"),
            ("two  spaces stay", "two  spaces stay"),
            ("\0\u{feff}", ""),
        ] {
            assert_eq!(filter(given), expected, "{given:?}");
        }
        assert!(matches!(filter("plain"), Cow::Borrowed("plain")));
        assert_eq!(filter_lines("\na\tb\r\n\u{85}c\r\n"), "\na b\n c\n");
        assert!(matches!(filter_lines("two\n\nlines\n"), Cow::Borrowed("two\n\nlines\n")));
    }

    /// What the tests hold the filter against, said in another way than the filter does.
    fn denied(c: char) -> bool {
        let u = u32::from(c);
        c.is_control()
            || matches!(u, 0x061c | 0x200e | 0x200f | 0xfeff)
            || (0x2028..=0x202e).contains(&u)
            || (0x2066..=0x206f).contains(&u)
            || (0xfff9..=0xfffb).contains(&u)
            || (0xe0000..=0xe007f).contains(&u)
    }

    fn hostile() -> impl Strategy<Value = String> {
        let nasty = prop_oneof![
            any::<char>(),
            prop::char::range('\0', '\u{a0}'),
            prop::char::range('\u{2000}', '\u{2070}'),
            prop::char::range('\u{e0000}', '\u{e0080}'),
            prop::sample::select(vec!['\n', '\r', '\t', ' ', 'a', '\u{61c}', '\u{fffa}', '\u{feff}']),
        ];
        prop::collection::vec(nasty, 0..40).prop_map(|chars| chars.into_iter().collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(50_000))]

        #[test]
        fn nothing_denied_gets_through_and_nothing_else_is_lost(text in hostile()) {
            let filtered = filter(&text);
            prop_assert!(!filtered.chars().any(denied), "{filtered:?}");
            prop_assert_eq!(&filter(&filtered), &filtered, "idempotent");
            let visible = |t: &str| t.chars().filter(|c| !denied(*c) && *c != ' ').collect::<String>();
            prop_assert_eq!(visible(&filtered), visible(&text));
            prop_assert!(filtered.len() <= text.len());
            let lines = filter_lines(&text);
            prop_assert!(!lines.chars().any(|c| c != '\n' && denied(c)), "{lines:?}");
            prop_assert_eq!(visible(&lines), visible(&text));
        }
    }
}
