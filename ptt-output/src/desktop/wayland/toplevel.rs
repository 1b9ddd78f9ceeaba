//! Which window has the focus, where the compositor tells (`zwlr_foreign_toplevel_management_v1`).
//!
//! Titles come with it and are not looked at.

use std::collections::HashMap;

use wayland_client::backend::ObjectId;
use wayland_client::{Connection, Dispatch, Proxy, QueueHandle, event_created_child};
use wayland_protocols_wlr::foreign_toplevel::v1::client::zwlr_foreign_toplevel_handle_v1::{
    Event as Told, State, ZwlrForeignToplevelHandleV1 as Handle,
};
use wayland_protocols_wlr::foreign_toplevel::v1::client::zwlr_foreign_toplevel_manager_v1::{
    EVT_TOPLEVEL_OPCODE, Event, ZwlrForeignToplevelManagerV1 as Manager,
};

use super::client::{Client, World};
use crate::desktop::Window;
use crate::error::OutputError;

/// The windows that are there.
#[derive(Debug, Default)]
pub(super) struct Toplevels {
    windows: HashMap<ObjectId, Toplevel>,
    /// The compositor's numbers come again for other windows; these do not.
    last: u64,
}

#[derive(Debug)]
struct Toplevel {
    window: Window,
    active: bool,
}

impl Toplevels {
    /// Whether the compositor tells of windows at all.
    pub fn are_told(client: &Client) -> bool {
        client.has::<Manager>()
    }

    /// Has the compositor tell of windows, if it does that.
    pub fn watch(client: &mut Client) -> Result<(), OutputError> {
        let _: Option<Manager> = client.bind(1..=3, ());
        // The first answer brings the windows, the next what there is to know of them.
        client.sync()
    }

    /// The window with the focus.
    pub fn focused(&self) -> Option<Window> {
        self.windows.values().find(|toplevel| toplevel.active).map(|toplevel| toplevel.window.clone())
    }

    fn opened(&mut self, handle: ObjectId) {
        self.last += 1;
        let window = Window { id: self.last, app: String::new() };
        self.windows.insert(handle, Toplevel { window, active: false });
    }
}

impl Dispatch<Manager, ()> for World {
    fn event(world: &mut Self, _: &Manager, event: Event, (): &(), _: &Connection, _: &QueueHandle<Self>) {
        match event {
            Event::Toplevel { toplevel } => world.toplevels.opened(toplevel.id()),
            // Nothing more is told: better no window than one of the past.
            Event::Finished => world.toplevels.windows.clear(),
            _ => {}
        }
    }

    event_created_child!(World, Manager, [EVT_TOPLEVEL_OPCODE => (Handle, ())]);
}

impl Dispatch<Handle, ()> for World {
    fn event(world: &mut Self, handle: &Handle, event: Told, (): &(), _: &Connection, _: &QueueHandle<Self>) {
        if let Told::Closed = event {
            world.toplevels.windows.remove(&handle.id());
            handle.destroy();
        } else if let Some(toplevel) = world.toplevels.windows.get_mut(&handle.id()) {
            toplevel.told(event);
        }
    }
}

impl Toplevel {
    fn told(&mut self, event: Told) {
        if let Told::AppId { app_id } = event {
            self.window.app = app_id;
        } else if let Told::State { state } = event {
            self.active = is_active(&state);
        }
    }
}

/// Whether the list of states, each a number of four bytes, has `activated`.
fn is_active(states: &[u8]) -> bool {
    let activated = (State::Activated as u32).to_ne_bytes();
    states.chunks_exact(4).any(|state| state == activated)
}
