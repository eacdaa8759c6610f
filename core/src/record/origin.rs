//! Which app and device made a record.

use serde::{Deserialize, Serialize};

use crate::Name;

/// The app (HealthKit's source revision) and the device that made a record; shared by all of its records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// Name of the app or device as the person sees it.
    pub name: Option<Name>,
    /// Bundle identifier of the app.
    pub bundle: Option<Name>,
    /// Version of the app.
    pub version: Option<Name>,
    /// Product type of the phone or watch that wrote it (`Watch6,7`).
    pub product: Option<Name>,
    /// Version of the operating system that wrote it.
    pub os: Option<Name>,
    /// The device that measured, if it is known.
    pub device: Option<Device>,
}

/// A measuring device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Device {
    /// Its name.
    pub name: Option<Name>,
    /// Who makes it.
    pub manufacturer: Option<Name>,
    /// Its model.
    pub model: Option<Name>,
    /// Hardware version.
    pub hardware: Option<Name>,
    /// Firmware version.
    pub firmware: Option<Name>,
    /// Software version.
    pub software: Option<Name>,
}
