//! The devices and apps of the mock store, and metadata that repeats; all shared.

use std::sync::Arc;

use afferent_core::{MetaValue, Metadata, Name, Origin, record::Device};

use super::person;

/// Runtime keys of HealthKit's metadata.
pub(super) const SYNC_IDENTIFIER: &str = "HKMetadataKeySyncIdentifier";
pub(super) const SYNC_VERSION: &str = "HKMetadataKeySyncVersion";
const MOTION_CONTEXT: &str = "HKMetadataKeyHeartRateMotionContext";
const USER_ENTERED: &str = "HKWasUserEntered";
const INDOOR: &str = "HKIndoorWorkout";

#[derive(Debug)]
pub(super) struct Origins {
    pub(super) phone: Arc<Origin>,
    pub(super) watch: Arc<Origin>,
    /// An app that imports.
    pub(super) import: Arc<Origin>,
    /// The app of a blood pressure cuff.
    pub(super) cuff: Arc<Origin>,
    /// The Health app, where a person writes by hand.
    pub(super) hand: Arc<Origin>,
    pub(super) sedentary: Arc<Metadata>,
    pub(super) active: Arc<Metadata>,
    pub(super) entered: Arc<Metadata>,
    pub(super) outdoor: Arc<Metadata>,
    pub(super) sync_identifier: Name,
    pub(super) sync_version: Name,
}

impl Origins {
    pub(super) fn new() -> Origins {
        let phone = apple("iPhone", "iPhone16,1", "18.2");
        let hand = Origin {
            device: None,
            name: Some("Health".into()),
            bundle: Some("com.apple.Health".into()),
            ..phone.clone()
        };
        Origins {
            watch: Arc::new(apple("Apple Watch", "Watch7,3", "11.2")),
            import: Arc::new(app("Fit Import", "com.example.fitimport", "4.1", &phone)),
            cuff: Arc::new(app("Cuff", "com.example.cuff", "2.0", &phone)),
            hand: Arc::new(hand),
            phone: Arc::new(phone),
            sedentary: one(MOTION_CONTEXT, MetaValue::Number(1.0)),
            active: one(MOTION_CONTEXT, MetaValue::Number(2.0)),
            entered: one(USER_ENTERED, MetaValue::Bool(true)),
            outdoor: one(INDOOR, MetaValue::Bool(false)),
            sync_identifier: SYNC_IDENTIFIER.into(),
            sync_version: SYNC_VERSION.into(),
        }
    }

    pub(super) fn of(&self, device: person::Device) -> &Arc<Origin> {
        match device {
            person::Device::Phone => &self.phone,
            person::Device::Watch => &self.watch,
            person::Device::Import => &self.import,
        }
    }

    /// The sync identifier and version that an app gives a sample.
    pub(super) fn sync(&self, identifier: &str, version: f64) -> Arc<Metadata> {
        let entries = [
            (self.sync_identifier.clone(), MetaValue::String(identifier.into())),
            (self.sync_version.clone(), MetaValue::Number(version)),
        ];
        Arc::new(entries.into_iter().collect())
    }
}

fn one(key: &str, value: MetaValue) -> Arc<Metadata> {
    Arc::new([(Name::from(key), value)].into_iter().collect())
}

fn apple(name: &str, product: &str, os: &str) -> Origin {
    let name = Some(Name::from(name));
    let model = if product.starts_with("Watch") { "Watch" } else { "iPhone" };
    Origin {
        name: name.clone(),
        bundle: Some("com.apple.health".into()),
        version: Some(os.into()),
        product: Some(product.into()),
        os: Some(os.into()),
        device: Some(Device {
            name,
            manufacturer: Some("Apple Inc.".into()),
            model: Some(model.into()),
            hardware: Some(product.into()),
            firmware: None,
            software: Some(os.into()),
        }),
    }
}

fn app(name: &str, bundle: &str, version: &str, phone: &Origin) -> Origin {
    Origin {
        name: Some(name.into()),
        bundle: Some(bundle.into()),
        version: Some(version.into()),
        product: phone.product.clone(),
        os: phone.os.clone(),
        device: None,
    }
}
