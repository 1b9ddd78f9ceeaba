//! Whether the user is there, purely: what logind tells, and when that means that they left.

/// Something logind told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The machine is about to sleep; or it woke up.
    Asleep(bool),
    /// Our session is in front; or another one is.
    InFront(bool),
    /// The session's locker says that it is locked; or no more.
    Locked(bool),
    /// Somebody asks for the session to be locked. Not every locker says when it was unlocked, so this lasts no time.
    Lock,
    /// Nothing will be told any more.
    Nothing,
}

/// What is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Presence {
    asleep: bool,
    behind: bool,
    locked: bool,
}

impl Told {
    /// For the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Asleep(_) => "sleep",
            Self::InFront(_) => "another session is in front",
            Self::Locked(_) | Self::Lock => "lock",
            Self::Nothing => "nothing",
        }
    }
}

impl Presence {
    /// Whether keys that are pressed now are not meant for us.
    pub const fn is_away(&self) -> bool {
        self.asleep || self.behind || self.locked
    }

    /// Takes it in; says whether the user left by it.
    pub fn heed(&mut self, told: Told) -> bool {
        let was_away = self.is_away();
        match told {
            Told::Asleep(asleep) => self.asleep = asleep,
            Told::InFront(in_front) => self.behind = !in_front,
            Told::Locked(locked) => self.locked = locked,
            Told::Lock => return !was_away,
            Told::Nothing => *self = Self::default(),
        }
        !was_away && self.is_away()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reason_is_enough_and_all_must_be_over() {
        let mut presence = Presence::default();
        for (told, left, away) in [
            (Told::InFront(true), false, false),
            (Told::Lock, true, false),
            (Told::Locked(true), true, true),
            (Told::Lock, false, true),
            (Told::Asleep(true), false, true),
            (Told::InFront(false), false, true),
            (Told::Asleep(false), false, true),
            (Told::Locked(false), false, true),
            (Told::InFront(true), false, false),
            (Told::Asleep(true), true, true),
            (Told::Nothing, false, false),
        ] {
            assert_eq!((presence.heed(told), presence.is_away()), (left, away), "{told:?}");
        }
    }
}
