//! Whisper's two vocabularies: how a model's is recognised, and how that of a CTranslate2 directory is read. GPT-2 writes
//! every byte as one printable character.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::error::ModelError;
use super::file;
use super::layout::TEXT_TOKENS;
use super::part::hex;

/// SHA-256 of the published token texts that both vocabularies have, as [`Fingerprint::add`] hashes them: English models.
const ENGLISH: &str = "7cff19521369c7f5f5ed77ed7b730e7491800afb47d01d341e12b3ca740d8543";
/// Of the multilingual models, large-v3 included.
const MULTILINGUAL: &str = "186cc782b0bbf16992f4d892918d1dc26232974a2c9b886d8cbac9fe49febde6";
/// Text tokens that are hashed. The next one ends a text in English models, and is empty in the others.
const HASHED: u32 = TEXT_TOKENS - 1;

/// Larger than any known vocabulary file by a factor of four.
const MAX_BYTES: u64 = 16 << 20;

/// What tells whether a vocabulary is a published one.
#[derive(Debug, Default)]
pub struct Fingerprint {
    hash: Sha256,
    tokens: u32,
    /// Whether the token after the hashed ones has a text.
    extra_text: bool,
}

impl Fingerprint {
    /// Takes the text of the next token in.
    pub fn add(&mut self, token: &[u8]) {
        if self.tokens < HASHED {
            self.hash.update((token.len() as u32).to_le_bytes());
            self.hash.update(token);
        } else if self.tokens == HASHED {
            self.extra_text = !token.is_empty();
        }
        self.tokens += 1;
    }

    /// Whether these are the texts of the published English or multilingual vocabulary. Special tokens, which stand for no
    /// text, do not count.
    #[must_use]
    pub fn is_published(&self, multilingual: bool) -> bool {
        if multilingual && self.extra_text {
            return false;
        }
        let found = hex(&self.hash.clone().finalize());
        #[cfg(test)]
        if found == super::synthetic::VOCABULARY {
            return true;
        }
        found == if multilingual { MULTILINGUAL } else { ENGLISH }
    }
}

/// Checks that these are the texts of a published vocabulary.
///
/// # Errors
/// When they are not: every text of the model would be wrong.
pub fn check(directory: &Path, tokens: &[Vec<u8>], multilingual: bool) -> Result<(), ModelError> {
    let mut found = Fingerprint::default();
    tokens.iter().for_each(|token| found.add(token));
    if found.is_published(multilingual) {
        return Ok(());
    }
    let what =
        "its vocabulary is not Whisper's, so that its texts would be wrong; fetch its files again".to_owned();
    Err(ModelError::NotImportable { path: directory.to_owned(), what })
}

/// The bytes of the text tokens, in the order of their ids. Reads `vocabulary.json`, `vocabulary.txt` or
/// `tokenizer.json`, whichever is there.
///
/// # Errors
/// When none is there, or it is not a vocabulary of at least [`TEXT_TOKENS`] tokens.
pub fn read(directory: &Path) -> Result<Vec<Vec<u8>>, ModelError> {
    let refuse = |what: String| ModelError::NotImportable { path: directory.to_owned(), what };
    let mut tokens = if let Some(text) = small_file(&directory.join("vocabulary.json"))? {
        serde_json::from_str(&text)
            .map_err(|e| refuse(format!("vocabulary.json is no list of strings ({e})")))?
    } else if let Some(text) = small_file(&directory.join("vocabulary.txt"))? {
        text.split('\n').map(|line| line.trim_end_matches('\r').to_owned()).collect()
    } else if let Some(text) = small_file(&directory.join("tokenizer.json"))? {
        by_id(&text).map_err(|e| refuse(format!("tokenizer.json: {e}")))?
    } else {
        return Err(refuse("it has no vocabulary.json, vocabulary.txt or tokenizer.json".to_owned()));
    };
    let found = tokens.len();
    if found < TEXT_TOKENS as usize {
        return Err(refuse(format!("its vocabulary has {found} tokens, Whisper's has {TEXT_TOKENS}")));
    }
    tokens.truncate(TEXT_TOKENS as usize);
    tokens.iter().enumerate().map(|(id, token)| bytes(token).ok_or_else(|| refuse(not_gpt2(id)))).collect()
}

fn not_gpt2(id: usize) -> String {
    format!("token {id} of its vocabulary is not written in GPT-2's byte alphabet")
}

/// The text of a file that must not be large; `None` when it is not there.
fn small_file(path: &Path) -> Result<Option<String>, ModelError> {
    let Some(file) = file::open_if_there(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(ModelError::io("read", path))?;
    let refuse = |what: &str| ModelError::NotImportable { path: path.to_owned(), what: what.to_owned() };
    if bytes.len() as u64 > MAX_BYTES {
        return Err(refuse("it is too large for a vocabulary"));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| refuse("it is not UTF-8"))
}

/// The tokens of a Hugging Face `tokenizer.json` by id.
fn by_id(text: &str) -> Result<Vec<String>, String> {
    #[derive(serde::Deserialize)]
    struct Tokenizer {
        model: Model,
        #[serde(default)]
        added_tokens: Vec<Added>,
    }
    #[derive(serde::Deserialize)]
    struct Model {
        vocab: BTreeMap<String, usize>,
    }
    #[derive(serde::Deserialize)]
    struct Added {
        id: usize,
        content: String,
    }
    let tokenizer: Tokenizer = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let mut tokens = vec![None; TEXT_TOKENS as usize];
    let listed = tokenizer.model.vocab.into_iter().map(|(token, id)| (id, token));
    for (id, token) in listed.chain(tokenizer.added_tokens.into_iter().map(|a| (a.id, a.content))) {
        if let Some(slot) = tokens.get_mut(id) {
            *slot = Some(token);
        }
    }
    tokens.into_iter().enumerate().map(|(id, t)| t.ok_or_else(|| format!("token {id} is missing"))).collect()
}

/// Maps GPT-2's characters back to the bytes they stand for.
fn bytes(token: &str) -> Option<Vec<u8>> {
    token.chars().map(byte).collect()
}

/// Printable Latin-1 stands for itself; the other 68 bytes were moved to U+0100 and up, in order.
fn byte(c: char) -> Option<u8> {
    match u32::from(c) {
        code @ (0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff) => u8::try_from(code).ok(),
        code @ 0x100..=0x120 => u8::try_from(code - 0x100).ok(),
        code @ 0x121..=0x142 => u8::try_from(code - 0x121 + 0x7f).ok(),
        0x143 => Some(0xad),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    #[test]
    fn every_byte_has_one_character() {
        let all: BTreeSet<u8> = (0..0x200).filter_map(char::from_u32).filter_map(byte).collect();
        assert_eq!(all.len(), 256);
        let characters = (0..0x2_0000).filter_map(char::from_u32).filter(|&c| byte(c).is_some());
        assert_eq!(characters.count(), 256);
        assert_eq!(bytes("Ġthe").unwrap(), b" the");
        assert_eq!(bytes("Ċ").unwrap(), b"\n");
        assert_eq!(bytes("Ã¤").unwrap(), "ä".as_bytes());
        assert_eq!(bytes("a b"), None);
    }

    #[test]
    fn the_three_ways_to_write_a_vocabulary_mean_the_same() {
        let words: Vec<String> = (0..TEXT_TOKENS + 3).map(|id| format!("Ġ{id}")).collect();
        let lines = words.join("\n") + "\n";
        let list = serde_json::to_string(&words).unwrap();
        let by_id: BTreeMap<&String, usize> = words.iter().enumerate().map(|(id, w)| (w, id)).collect();
        let tokenizer = serde_json::json!({ "model": { "vocab": by_id } }).to_string();
        for (name, text) in
            [("vocabulary.txt", lines), ("vocabulary.json", list), ("tokenizer.json", tokenizer)]
        {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(name), text).unwrap();
            let tokens = read(folder.path()).unwrap();
            assert_eq!(tokens.len(), TEXT_TOKENS as usize, "{name}");
            assert_eq!(tokens[50_256], b" 50256", "{name}");
        }
    }

    #[test]
    fn a_bad_vocabulary_is_refused() {
        let many = "x\n".repeat(TEXT_TOKENS as usize);
        for (name, text, says) in [
            ("vocabulary.txt", "a\nb".to_owned(), "has 2 tokens"),
            ("vocabulary.txt", many.replacen('x', "a b", 1), "token 0"),
            ("vocabulary.json", "{}".to_owned(), "no list of strings"),
            ("tokenizer.json", r#"{"model":{"vocab":{"a":0}}}"#.to_owned(), "token 1 is missing"),
            ("readme.md", String::new(), "has no vocabulary.json"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(name), text).unwrap();
            let error = read(folder.path()).unwrap_err().to_string();
            assert!(error.contains(says), "{name}: {error}");
        }
    }
}
