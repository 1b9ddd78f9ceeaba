//! Texts of another program, scored as those of a bench are.

use std::path::Path;

use serde::Serialize;

use super::clips::read_list;
use super::report::{BySource, percent};
use crate::commands::{say, say_json};
use crate::exit_code::{Exit, Failure};
use crate::wer::Errors;

/// One text.
#[derive(Serialize)]
struct Scored {
    id: String,
    text: String,
    reference: String,
    edits: usize,
    words: usize,
}

/// Reads `id<TAB>text` lines and prints how they differ from the references. A text without a reference is left out; a
/// reference without a text is too, because not every clip need have been played.
pub(super) fn run(texts: &Path, references: &Path, json: bool) -> Result<(), Failure> {
    let references = read_list(references)?;
    let mut scored: Vec<Scored> = read_list(texts)?
        .into_iter()
        .filter_map(|(id, text)| {
            let reference = references.get(&id)?.clone();
            let Errors { edits, words } = Errors::of(&reference, &text);
            Some(Scored { id, text, reference, edits, words })
        })
        .collect();
    if scored.is_empty() {
        let what = format!("no line of {} has a reference", texts.display());
        return Err(Failure::new(Exit::NoInput, what));
    }
    scored.sort_by(|a, b| a.id.cmp(&b.id));
    let by_source =
        BySource::of(scored.iter().map(|s| (s.id.as_str(), Errors { edits: s.edits, words: s.words })));
    let all = by_source.total();
    for line in &scored {
        if json {
            say_json(line)?;
        } else {
            say(format_args!("{:<24}{:>3}/{:<3}  {}", line.id, line.edits, line.words, line.text))?;
        }
    }
    if json {
        let total = serde_json::json!({
            "texts": scored.len(), "wer": all.rate(), "edits": all.edits, "words": all.words, "by_source": by_source
        });
        say_json(&serde_json::json!({ "total": total }))
    } else {
        let (edits, words) = (all.edits, all.words);
        say(format_args!("\nWER {} ({edits} edits in {words} words)\n{by_source}", percent(all.rate())))
    }
}
