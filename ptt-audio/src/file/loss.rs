//! What of a file is left out, added up and put into words.

/// Less than this is not worth a word: nothing is said in it.
const SHORTEST_LOSS_S: f64 = 0.1;

/// A stretch that will not be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    /// Where it begins.
    pub at_s: f64,
    /// Its length, where that is known.
    pub seconds: Option<f64>,
    /// Why.
    pub reason: String,
}

/// What of a file could not be read.
#[derive(Debug, Default)]
pub struct Unread {
    /// Of the first place, for people.
    pub reason: Option<String>,
    /// Where that is.
    at_s: f64,
    places: u32,
    /// All stretches of known length together.
    seconds: f64,
    /// There is one of unknown length.
    open: bool,
}

impl Unread {
    fn note(&mut self, at_s: f64, reason: &str) {
        self.places += 1;
        if self.reason.is_none() {
            self.reason = Some(reason.to_owned());
            self.at_s = at_s;
        }
    }

    /// A stretch of this length was left out.
    pub fn stretch(&mut self, at_s: f64, seconds: f64, reason: &str) {
        if seconds > 0.0 {
            self.seconds += seconds;
            self.note(at_s, reason);
        }
    }

    /// Nobody knows how much.
    pub fn rest(&mut self, at_s: f64, reason: String) {
        self.open = true;
        self.note(at_s, &reason);
    }

    /// All of it for people, if it is worth a word.
    pub fn summary(&self) -> Option<String> {
        let reason = self.reason.as_ref().filter(|_| self.open || self.seconds >= SHORTEST_LOSS_S)?;
        let (at, seconds) = (self.at_s, self.seconds);
        Some(match (self.places, self.open) {
            (1, true) => format!("what follows {at:.1} s is missing: {reason}"),
            (1, false) => format!("{seconds:.1} s at {at:.1} s are missing: {reason}"),
            (places, true) => format!("{places} places are missing, the first at {at:.1} s: {reason}"),
            (places, false) => {
                format!("{seconds:.1} s in {places} places are missing, the first at {at:.1} s: {reason}")
            }
        })
    }
}
