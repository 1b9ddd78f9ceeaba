//! The thread's work: getting a session, working in it, and waiting for another one when it is gone.
//!
//! A session that the user refused or ended is not asked for again: that would be another dialog. Where the portal was not
//! there or has gone, it is asked again when it is back, or at the next text.

use std::cell::Cell;
use std::pin::pin;

use ptt_messages::FaultKind;
use tokio::sync::mpsc::UnboundedReceiver;
use tracing::{debug, warn};

use super::bus::comes_back;
use super::error::PortalError;
use super::hands::{Broken, Hands};
use super::session::Session;
use super::{Job, Wants, Work};
use crate::error::OutputError;

/// No more work will come.
struct Done;

/// Until all handles are gone.
pub(super) async fn serve(wants: Wants, mut jobs: UnboundedReceiver<Job>) {
    let mut said: Option<PortalError> = None;
    loop {
        let error = match try_one(wants, said.as_ref(), &mut jobs).await {
            Ok(error) => error,
            Err(Done) => return,
        };
        // Once: whoever delivers a text says why it went another way.
        if said.as_ref() == Some(&error) {
            debug!(%error, "still no portal");
        } else {
            warn!("{error}");
        }
        if wait(&error, &mut jobs).await.is_err() {
            return;
        }
        said = Some(error);
    }
}

/// Gets a session and works in it. Returns why that ended. `last` is why there is none yet.
async fn try_one(
    wants: Wants,
    last: Option<&PortalError>,
    jobs: &mut UnboundedReceiver<Job>,
) -> Result<PortalError, Done> {
    let dialog = Cell::new(false);
    let mut asking = pin!(Session::ask(wants, &dialog));
    let session = loop {
        tokio::select! {
            asked = &mut asking => match asked {
                Ok(session) => break session,
                Err(error) => return Ok(error),
            },
            job = jobs.recv() => {
                let why = last.filter(|_| !dialog.get()).unwrap_or(&PortalError::Waiting);
                job.ok_or(Done)?.refuse(why);
            }
        }
    };
    let mut hands = Hands::new(session);
    loop {
        tokio::select! {
            job = jobs.recv() => match job {
                Some(job) => if let Err(error) = work(&mut hands, job).await {
                    return Ok(error);
                },
                None => {
                    // What is not given back now is gone with the session anyway.
                    let _ = hands.give_back().await;
                    return Err(Done);
                }
            },
            served = hands.serve(None) => if let Err(error) = served {
                return Ok(error);
            },
        }
        if let Err(error) = hands.look_after().await {
            return Ok(error);
        }
    }
}

/// Does a job and says how it went; an error is the session's end.
async fn work(hands: &mut Hands, Job { work, reply }: Job) -> Result<(), PortalError> {
    let outcome: Result<Result<(), OutputError>, Broken> = match work {
        Work::Ready => Ok(Ok(())),
        Work::Press(chord) => hands.press(chord).await.map(Ok),
        Work::Paste(text, chord, limit) => hands.paste(&text, chord, limit).await,
        Work::Copy(text) => hands.copy(&text).await.map(Ok),
    };
    let (answer, ended) = match outcome {
        Ok(answer) => (answer, Ok(())),
        Err(broken) => (Err(broken.told()), Err(broken.error)),
    };
    // Whoever asked may be gone.
    let _ = reply.send(answer);
    ended
}

/// Waits until it is worth another try; work that comes meanwhile is refused.
async fn wait(error: &PortalError, jobs: &mut UnboundedReceiver<Job>) -> Result<(), Done> {
    let (refused, gone) = (error.kind() == FaultKind::Denied, error.kind() == FaultKind::Gone);
    let mut back = pin!(comes_back(gone));
    loop {
        tokio::select! {
            job = jobs.recv() => {
                job.ok_or(Done)?.refuse(error);
                if gone {
                    return Ok(());
                }
            }
            () = &mut back, if !refused => return Ok(()),
        }
    }
}

impl Job {
    fn refuse(self, error: &PortalError) {
        // Whoever asked may be gone.
        let _ = self.reply.send(Err(error.clone().into()));
    }
}
