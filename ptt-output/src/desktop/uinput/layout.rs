//! Which key types which character in a keyboard layout, as XKB's own files have it. Pure but for reading those.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use kbvm::lookup::LookupTable;
use kbvm::state_machine::{Direction, StateMachine};
use kbvm::xkb::Context;
use kbvm::xkb::diagnostic::{Diagnostic, DiagnosticKind};
use kbvm::xkb::rmlvo::Group;
use kbvm::{Components, Keycode, ModifierMask, syms};
use serde::{Deserialize, Serialize};

use crate::error::OutputError;

/// Kernel codes of the keys that choose a level.
const SHIFT: u16 = 42;
pub(super) const ALT_GR: u16 = 100;

/// What may be held for a key, the least first.
const HELD: [&[u16]; 4] = [&[], &[SHIFT], &[ALT_GR], &[SHIFT, ALT_GR]];

/// The keys that type: the main block, and for what that lacks the one beside the left Shift that not every keyboard has. The
/// keypad's depend on Num Lock.
const KEYS: [&[(u16, u16)]; 2] = [&[(2, 13), (16, 28), (30, 41), (43, 53), (57, 57)], &[(86, 86)]];

/// The name of a layout as XKB has it, perhaps with a variant: `de`, `de(nodeadkeys)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LayoutName {
    layout: String,
    variant: String,
}

/// A name that cannot be one of a layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no keyboard layout; write one layout as XKB names it, such as \"us\", \"de\" or \"de(nodeadkeys)\""
)]
pub struct NoLayoutName(String);

impl TryFrom<String> for LayoutName {
    type Error = NoLayoutName;

    fn try_from(name: String) -> Result<Self, NoLayoutName> {
        let (layout, variant) = match name.split_once('(') {
            Some((layout, rest)) => (layout, rest.strip_suffix(')').filter(|variant| !variant.is_empty())),
            None => (&*name, Some("")),
        };
        let plain = |part: &str| part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        match variant {
            Some(variant) if !layout.is_empty() && plain(layout) && plain(variant) => {
                Ok(Self { layout: layout.to_owned(), variant: variant.to_owned() })
            }
            Some(_) | None => Err(NoLayoutName(name)),
        }
    }
}

impl From<LayoutName> for String {
    fn from(name: LayoutName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for LayoutName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.layout)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "({})", self.variant) }
    }
}

/// A key with what is held for it; kernel codes in the order in which they go down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stroke {
    pub held: &'static [u16],
    pub code: u16,
}

/// A layout and what it can type.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    name: LayoutName,
    strokes: HashMap<char, Stroke>,
}

impl Layout {
    /// Reads it from XKB's files.
    ///
    /// # Errors
    /// [`OutputError::NoLayout`].
    pub fn load(name: &LayoutName) -> Result<Self, OutputError> {
        let mut said: Vec<Diagnostic> = Vec::new();
        let group = Group { layout: &name.layout, variant: &name.variant };
        // The user's own files count, as they do for compositors; the layout that the environment names does not.
        let mut context = Context::builder();
        context.environment_accessor(|name| ptt_dirs::variable(name)?.into_string().ok());
        let keymap = context.build().keymap_from_names(&mut said, None, None, Some(&[group]), Some(&[]));
        let missing = |diagnostic: &Diagnostic| is_missing(diagnostic.kind());
        if said.iter().any(missing) {
            return Err(OutputError::NoLayout { layout: name.to_string() });
        }
        let keymap = keymap.to_builder();
        let (machine, table) = (keymap.build_state_machine(), keymap.build_lookup_table());
        let mut strokes = HashMap::new();
        for (keys, held) in KEYS.iter().flat_map(|keys| HELD.map(|held| (keys, held))) {
            let state = holding(&machine, held);
            for code in keys.iter().flat_map(|&(first, last)| first..=last) {
                if let Some(c) = character(&table, &state, code) {
                    strokes.entry(c).or_insert(Stroke { held, code });
                }
            }
        }
        Ok(Self { name: name.clone(), strokes })
    }

    /// The keys that type all of `text`.
    ///
    /// # Errors
    /// [`OutputError::NotInLayout`].
    pub fn strokes(&self, text: &str) -> Result<Vec<Stroke>, OutputError> {
        let lacking: BTreeSet<char> = text.chars().filter(|c| !self.strokes.contains_key(c)).collect();
        if !lacking.is_empty() {
            return Err(OutputError::NotInLayout {
                layout: self.name.to_string(),
                characters: lacking.len(),
            });
        }
        Ok(text.chars().filter_map(|c| self.strokes.get(&c).copied()).collect())
    }
}

/// Whether a part of the layout is not there. XKB goes on without it.
fn is_missing(kind: DiagnosticKind) -> bool {
    kind == DiagnosticKind::FileNotFound
}

/// What is in force while these keys are held.
fn holding(machine: &StateMachine, held: &[u16]) -> Components {
    let (mut state, mut events) = (machine.create_state(), Vec::new());
    for code in held {
        machine.handle_key(&mut state, &mut events, Keycode::from_evdev(u32::from(*code)), Direction::Down);
    }
    let mut components = Components::default();
    for event in events {
        components.apply_event(event);
    }
    components
}

/// What the key types while that is in force; `None` also where a modifier would be left that programs act on.
fn character(table: &LookupTable, state: &Components, code: u16) -> Option<char> {
    let found = table.lookup(state.group, state.mods, Keycode::from_evdev(u32::from(code)));
    if found.remaining_mods() != ModifierMask::NONE {
        return None;
    }
    let mut keysyms = found.into_iter();
    match (keysyms.next(), keysyms.next()) {
        (Some(only), None) if only.keysym() == syms::Return => Some('\n'),
        (Some(only), None) => only.char().filter(|c| !c.is_control()),
        (_, _) => None,
    }
}

#[cfg(test)]
#[path = "layout/tests.rs"]
mod tests;
