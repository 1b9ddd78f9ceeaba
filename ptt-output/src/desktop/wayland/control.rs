//! The two protocols by which a program without a window may use the clipboard, as one: `ext_data_control_v1`, and the
//! older `zwlr_data_control_unstable_v1` that it was made from. Their requests and events are the same.
//!
//! What the events change is in [`super::clipboard`].

use std::os::fd::BorrowedFd;
use std::sync::{Mutex, PoisonError};

use wayland_client::protocol::wl_seat::WlSeat;
use wayland_client::{Connection, Dispatch, Proxy, QueueHandle, event_created_child};
use wayland_protocols::ext::data_control::v1::client as ext;
use wayland_protocols_wlr::data_control::v1::client as wlr;

use super::NAME;
use super::client::{Client, World};
use super::clipboard::Selection;
use crate::error::OutputError;

/// The formats of an offer; they are told before the offer counts.
#[derive(Debug, Default)]
pub(super) struct Formats(Mutex<Vec<String>>);

impl Formats {
    fn add(&self, mime: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(mime);
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

macro_rules! either {
    ($(#[$doc:meta])* $name:ident, $ext:ty, $wlr:ty) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(super) enum $name {
            Ext($ext),
            Wlr($wlr),
        }
    };
}

either! {
    /// What the clipboard of a seat is reached by.
    Device, ext::ext_data_control_device_v1::ExtDataControlDeviceV1, wlr::zwlr_data_control_device_v1::ZwlrDataControlDeviceV1
}
either! {
    /// What somebody has in a selection.
    Offer, ext::ext_data_control_offer_v1::ExtDataControlOfferV1, wlr::zwlr_data_control_offer_v1::ZwlrDataControlOfferV1
}
either! {
    /// What we have in a selection.
    Source, ext::ext_data_control_source_v1::ExtDataControlSourceV1, wlr::zwlr_data_control_source_v1::ZwlrDataControlSourceV1
}
either! {
    /// What devices and sources are made by.
    Manager, ext::ext_data_control_manager_v1::ExtDataControlManagerV1, wlr::zwlr_data_control_manager_v1::ZwlrDataControlManagerV1
}

impl Manager {
    /// The newer protocol where the compositor has it, else the older one, else nothing.
    pub fn bind(client: &Client) -> Option<Self> {
        client.bind(1..=1, ()).map(Self::Ext).or_else(|| client.bind(1..=2, ()).map(Self::Wlr))
    }

    /// Whether the compositor has one of them.
    pub fn is_offered(client: &Client) -> bool {
        client.has::<ext::ext_data_control_manager_v1::ExtDataControlManagerV1>()
            || client.has::<wlr::zwlr_data_control_manager_v1::ZwlrDataControlManagerV1>()
    }

    /// What there is to say where the compositor has neither.
    pub fn not_offered() -> OutputError {
        OutputError::NotOffered {
            desktop: NAME,
            what: "the clipboard for programs without a window (ext_data_control_v1); use `output.sink = \"command\"` \
                   with `output.command = [\"wl-copy\"]`, or `output.desktop = \"x11\"` for X11 programs",
        }
    }

    /// Whether the selection of the mouse (primary) can be used too.
    pub fn has_primary(&self) -> bool {
        match self {
            Self::Ext(_) => true,
            Self::Wlr(manager) => manager.version() >= 2,
        }
    }

    pub fn device(&self, seat: &WlSeat, queue: &QueueHandle<World>) -> Device {
        match self {
            Self::Ext(manager) => Device::Ext(manager.get_data_device(seat, queue, ())),
            Self::Wlr(manager) => Device::Wlr(manager.get_data_device(seat, queue, ())),
        }
    }

    /// A source of that number, offering these formats.
    pub fn source<'m>(
        &self,
        serial: u64,
        formats: impl Iterator<Item = &'m str>,
        queue: &QueueHandle<World>,
    ) -> Source {
        match self {
            Self::Ext(manager) => {
                let source = manager.create_data_source(queue, serial);
                formats.for_each(|mime| source.offer(mime.to_owned()));
                Source::Ext(source)
            }
            Self::Wlr(manager) => {
                let source = manager.create_data_source(queue, serial);
                formats.for_each(|mime| source.offer(mime.to_owned()));
                Source::Wlr(source)
            }
        }
    }
}

impl Device {
    /// Puts `source` in the selection; nothing empties it.
    pub fn set(&self, selection: Selection, source: Option<&Source>) {
        let ext = |source: &Source| match source {
            Source::Ext(source) => Some(source.clone()),
            Source::Wlr(_) => None,
        };
        let wlr = |source: &Source| match source {
            Source::Wlr(source) => Some(source.clone()),
            Source::Ext(_) => None,
        };
        match (self, selection) {
            (Self::Ext(device), Selection::Clipboard) => device.set_selection(source.and_then(ext).as_ref()),
            (Self::Ext(device), Selection::Primary) => {
                device.set_primary_selection(source.and_then(ext).as_ref());
            }
            (Self::Wlr(device), Selection::Clipboard) => device.set_selection(source.and_then(wlr).as_ref()),
            (Self::Wlr(device), Selection::Primary) => {
                device.set_primary_selection(source.and_then(wlr).as_ref());
            }
        }
    }
}

impl Offer {
    /// The formats it has.
    pub fn formats(&self) -> Vec<String> {
        let formats = match self {
            Self::Ext(offer) => offer.data::<Formats>(),
            Self::Wlr(offer) => offer.data::<Formats>(),
        };
        formats.map(Formats::all).unwrap_or_default()
    }

    /// Has its owner write one format into `pipe`.
    pub fn receive(&self, mime: String, pipe: BorrowedFd<'_>) {
        match self {
            Self::Ext(offer) => offer.receive(mime, pipe),
            Self::Wlr(offer) => offer.receive(mime, pipe),
        }
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        match self {
            Self::Ext(offer) => offer.destroy(),
            Self::Wlr(offer) => offer.destroy(),
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        match self {
            Self::Ext(source) => source.destroy(),
            Self::Wlr(source) => source.destroy(),
        }
    }
}

macro_rules! dispatch {
    ($side:ident, $protocol:ident, $manager:ident::$Manager:ident, $device:ident::$Device:ident, $offer:ident::$Offer:ident, $source:ident::$Source:ident) => {
        wayland_client::delegate_noop!(World: $protocol::$manager::$Manager);

        impl Dispatch<$protocol::$device::$Device, ()> for World {
            fn event(
                world: &mut Self,
                _: &$protocol::$device::$Device,
                event: $protocol::$device::Event,
                (): &(),
                _: &Connection,
                _: &QueueHandle<Self>,
            ) {
                use $protocol::$device::Event;
                let offer = |offer: Option<_>| offer.map(Offer::$side);
                match event {
                    Event::Selection { id } => world.clipboard.offered(Selection::Clipboard, offer(id)),
                    Event::PrimarySelection { id } => world.clipboard.offered(Selection::Primary, offer(id)),
                    // The seat is gone: the next delivery's requests fail or do nothing.
                    Event::Finished => {}
                    // The offer itself comes with the events above; newer versions' events are not asked for.
                    _ => {}
                }
            }

            event_created_child!(World, $protocol::$device::$Device, [
                $protocol::$device::EVT_DATA_OFFER_OPCODE => ($protocol::$offer::$Offer, Formats::default()),
            ]);
        }

        impl Dispatch<$protocol::$offer::$Offer, Formats> for World {
            fn event(
                _: &mut Self,
                _: &$protocol::$offer::$Offer,
                event: $protocol::$offer::Event,
                formats: &Formats,
                _: &Connection,
                _: &QueueHandle<Self>,
            ) {
                if let $protocol::$offer::Event::Offer { mime_type } = event {
                    formats.add(mime_type);
                }
            }
        }

        impl Dispatch<$protocol::$source::$Source, u64> for World {
            fn event(
                world: &mut Self,
                _: &$protocol::$source::$Source,
                event: $protocol::$source::Event,
                &serial: &u64,
                _: &Connection,
                _: &QueueHandle<Self>,
            ) {
                use $protocol::$source::Event;
                match event {
                    Event::Send { mime_type, fd } => {
                        // Without a content the pipe closes here, and who asked reads the end.
                        if let Some((bytes, counts)) = world.clipboard.asked(serial, &mime_type) {
                            world.transfers.send(counts.then_some(serial), fd, bytes);
                        }
                    }
                    Event::Cancelled => world.clipboard.cancelled(serial),
                    _ => {}
                }
            }
        }
    };
}

dispatch!(
    Ext,
    ext,
    ext_data_control_manager_v1::ExtDataControlManagerV1,
    ext_data_control_device_v1::ExtDataControlDeviceV1,
    ext_data_control_offer_v1::ExtDataControlOfferV1,
    ext_data_control_source_v1::ExtDataControlSourceV1
);
dispatch!(
    Wlr,
    wlr,
    zwlr_data_control_manager_v1::ZwlrDataControlManagerV1,
    zwlr_data_control_device_v1::ZwlrDataControlDeviceV1,
    zwlr_data_control_offer_v1::ZwlrDataControlOfferV1,
    zwlr_data_control_source_v1::ZwlrDataControlSourceV1
);
