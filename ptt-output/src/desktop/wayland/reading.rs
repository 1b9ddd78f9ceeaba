//! Waiting until the window has read what it was sent.
//!
//! No protocol tells which program has the keyboard. It is the one whose unread events grow when
//! keys are pressed; one that reads faster than it can be looked at needs no waiting.

use std::time::Instant;

use super::client::Client;
use crate::desktop::backlog::{LOOK, Patience, STILL_LIMIT, Unread, Watch};
use crate::error::OutputError;

/// The programs that are watched since some moment, where the kernel tells.
pub(super) struct Reading(Option<Watch>);

impl Reading {
    /// Begins now: before keys are pressed.
    pub fn begin(client: &mut Client) -> Self {
        Self(client.watch())
    }

    /// Whether it can be seen at all.
    pub const fn is_seen(&self) -> bool {
        self.0.is_some()
    }

    /// Waits until the window has not more than `most` bytes left to read.
    ///
    /// # Errors
    /// [`OutputError::NotRead`] when it reads nothing for [`STILL_LIMIT`], [`OutputError::WindowGone`].
    pub fn wait(&mut self, client: &mut Client, most: u32) -> Result<(), OutputError> {
        let mut patience = Patience::new(most, STILL_LIMIT, Instant::now());
        while !patience.is_over(self.look(client)?, Instant::now())? {
            client.wait(Some(Instant::now() + LOOK), |_| false)?;
        }
        Ok(())
    }

    /// What the window has not read now; nothing where that cannot be seen.
    pub fn look(&mut self, client: &mut Client) -> Result<Unread, OutputError> {
        let Some(watch) = &mut self.0 else { return Ok(Unread::default()) };
        // The compositor writes to programs after it has handled requests: all that it was asked for
        // before this is written when it answers.
        client.sync()?;
        Ok(client.backlog.as_ref().map_or_else(Unread::default, |backlog| watch.look(backlog)))
    }
}
