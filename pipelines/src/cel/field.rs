//! The fields of a record as expressions name them.

use afferent_core::{Change, Name, Origin, Record, Timestamp, record::Device};

use super::value::{CelValue, Type};

/// A field of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is named as its path in the table")]
pub enum Field {
    Id,
    Type,
    Start,
    End,
    Value,
    Unit,
    Subject,
    Zone,
    Revision,
    Deleted,
    SourceName,
    SourceBundle,
    SourceVersion,
    SourceProduct,
    SourceOs,
    DeviceName,
    DeviceManufacturer,
    DeviceModel,
    DeviceHardware,
    DeviceFirmware,
    DeviceSoftware,
}

impl Field {
    /// All fields with their paths, in the order of the wire form.
    pub const ALL: &'static [(&'static str, Field)] = &[
        ("id", Field::Id),
        ("type", Field::Type),
        ("start", Field::Start),
        ("end", Field::End),
        ("value", Field::Value),
        ("unit", Field::Unit),
        ("subject", Field::Subject),
        ("zone", Field::Zone),
        ("revision", Field::Revision),
        ("deleted", Field::Deleted),
        ("source.name", Field::SourceName),
        ("source.bundle", Field::SourceBundle),
        ("source.version", Field::SourceVersion),
        ("source.product", Field::SourceProduct),
        ("source.os", Field::SourceOs),
        ("device.name", Field::DeviceName),
        ("device.manufacturer", Field::DeviceManufacturer),
        ("device.model", Field::DeviceModel),
        ("device.hardware", Field::DeviceHardware),
        ("device.firmware", Field::DeviceFirmware),
        ("device.software", Field::DeviceSoftware),
    ];

    /// The field whose path is `path`.
    pub fn parse(path: &str) -> Option<Field> {
        Field::ALL.iter().find(|(name, _)| *name == path).map(|(_, field)| *field)
    }

    /// Its type in expressions.
    pub fn r#type(self) -> Type {
        match self {
            Field::Start | Field::End => Type::Timestamp,
            Field::Value => Type::Double,
            Field::Revision => Type::Int,
            Field::Deleted => Type::Bool,
            _ => Type::String,
        }
    }

    /// What `record` has in it.
    #[inline]
    pub fn read(self, record: &Record) -> CelValue<'_> {
        match self {
            Field::Id => CelValue::Id(record.id),
            Field::Type => record.kind.map_or(CelValue::Absent, CelValue::Kind),
            Field::Start | Field::End => self.time(record).map_or(CelValue::Absent, CelValue::Timestamp),
            Field::Value => record.value.as_f64().map_or(CelValue::Absent, CelValue::Double),
            Field::Unit => record.value.unit().map_or(CelValue::Absent, CelValue::Unit),
            Field::Revision => CelValue::Int(i64::from(record.revision)),
            Field::Deleted => CelValue::Bool(record.change == Change::Deleted),
            _ => self.name(record).map_or(CelValue::Absent, CelValue::Name),
        }
    }

    /// The time in `start` or `end`. A deletion without times has the epoch of 1970 in both, which no sample
    /// has: to an expression they are absent.
    #[inline]
    pub(super) fn time(self, record: &Record) -> Option<Timestamp> {
        let epoch = Timestamp::default();
        if record.change == Change::Deleted && record.start == epoch && record.end == epoch {
            return None;
        }
        Some(if self == Field::Start { record.start } else { record.end })
    }

    /// The shared text in it; `None` also for fields that are something else.
    #[inline]
    pub(crate) fn name(self, record: &Record) -> Option<&Name> {
        match self {
            Field::Subject => record.subject.as_ref(),
            Field::Zone => record.zone.as_ref(),
            _ => self.name_in(record.origin.as_deref()?),
        }
    }

    fn name_in(self, origin: &Origin) -> Option<&Name> {
        match self {
            Field::SourceName => origin.name.as_ref(),
            Field::SourceBundle => origin.bundle.as_ref(),
            Field::SourceVersion => origin.version.as_ref(),
            Field::SourceProduct => origin.product.as_ref(),
            Field::SourceOs => origin.os.as_ref(),
            _ => self.name_of(origin.device.as_ref()?),
        }
    }

    fn name_of(self, device: &Device) -> Option<&Name> {
        match self {
            Field::DeviceName => device.name.as_ref(),
            Field::DeviceManufacturer => device.manufacturer.as_ref(),
            Field::DeviceModel => device.model.as_ref(),
            Field::DeviceHardware => device.hardware.as_ref(),
            Field::DeviceFirmware => device.firmware.as_ref(),
            Field::DeviceSoftware => device.software.as_ref(),
            _ => None,
        }
    }

    /// Where in `origin` its text is kept; `None` for fields that are elsewhere.
    pub(crate) fn slot(self, origin: &mut Origin) -> Option<&mut Option<Name>> {
        Some(match self {
            Field::SourceName => &mut origin.name,
            Field::SourceBundle => &mut origin.bundle,
            Field::SourceVersion => &mut origin.version,
            Field::SourceProduct => &mut origin.product,
            Field::SourceOs => &mut origin.os,
            Field::DeviceName => &mut origin.device.get_or_insert_default().name,
            Field::DeviceManufacturer => &mut origin.device.get_or_insert_default().manufacturer,
            Field::DeviceModel => &mut origin.device.get_or_insert_default().model,
            Field::DeviceHardware => &mut origin.device.get_or_insert_default().hardware,
            Field::DeviceFirmware => &mut origin.device.get_or_insert_default().firmware,
            Field::DeviceSoftware => &mut origin.device.get_or_insert_default().software,
            _ => return None,
        })
    }
}
