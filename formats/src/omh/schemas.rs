//! The schemas of single numbers, and the units that each takes.

use afferent_core::{Kind, Unit, unit::Conversion};

use crate::terms::{self, Schema};

/// A schema whose body is a number with a unit.
struct Measure {
    /// The schema's name.
    schema: &'static str,
    /// The body's key.
    key: &'static str,
    /// HealthKit's units and the schema's: what is in another unit is converted to the first.
    units: &'static [(&'static str, &'static str)],
    /// It takes intervals only.
    interval: bool,
}

const MASS: &[(&str, &str)] = &[("kg", "kg"), ("g", "g"), ("lb", "lb"), ("oz", "oz"), ("mg", "mg")];
const LENGTH: &[(&str, &str)] = &[
    ("m", "m"),
    ("cm", "cm"),
    ("mm", "mm"),
    ("km", "km"),
    ("in", "in"),
    ("ft", "ft"),
    ("yd", "yd"),
    ("mi", "mi"),
];

/// The schemas as openmhealth/schemas and IEEE 1752.1 have them, at the versions that `terms.tsv` names.
const MEASURES: &[Measure] = &[
    Measure {
        schema: "heart-rate",
        key: "heart_rate",
        units: &[("count/min", "beats/min")],
        interval: false,
    },
    Measure {
        schema: "respiratory-rate",
        key: "respiratory_rate",
        units: &[("count/min", "breaths/min")],
        interval: false,
    },
    Measure { schema: "oxygen-saturation", key: "oxygen_saturation", units: &[("%", "%")], interval: false },
    Measure {
        schema: "body-fat-percentage",
        key: "body_fat_percentage",
        units: &[("%", "%")],
        interval: false,
    },
    Measure {
        schema: "body-mass-index",
        key: "body_mass_index",
        units: &[("count", "kg/m2")],
        interval: false,
    },
    Measure { schema: "body-weight", key: "body_weight", units: MASS, interval: false },
    Measure { schema: "body-height", key: "body_height", units: LENGTH, interval: false },
    Measure {
        schema: "body-temperature",
        key: "body_temperature",
        units: &[("degC", "C"), ("degF", "F"), ("K", "K")],
        interval: false,
    },
    Measure { schema: "blood-glucose", key: "blood_glucose", units: &[("mg/dL", "mg/dL")], interval: false },
    Measure {
        schema: "forced-vital-capacity",
        key: "forced_vital_capacity",
        units: &[("L", "L"), ("l", "L")],
        interval: false,
    },
    Measure {
        schema: "forced-expiratory-volume-1-second",
        key: "forced_expiratory_volume_1_second",
        units: &[("L", "L"), ("l", "L")],
        interval: false,
    },
    Measure { schema: "step-count", key: "step_count", units: &[("count", "steps")], interval: true },
    Measure {
        schema: "calories-burned",
        key: "kcal_burned",
        units: &[("kcal", "kcal"), ("Cal", "kcal")],
        interval: true,
    },
];

/// How numbers of one type in one unit are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) schema: Schema,
    /// The body's key; `None` for the generic schema.
    pub(super) key: Option<&'static str>,
    /// The unit's name; the record's own for the generic schema.
    pub(super) unit: &'static str,
    pub(super) conversion: Option<Conversion>,
    pub(super) percent: bool,
    pub(super) interval: bool,
}

/// The generic schema of quantities.
pub(super) const QUANTITY: Schema =
    Schema { namespace: "granola", name: "hk-quantity-sample", version: "1.0" };
/// Of categories.
pub(super) const CATEGORY: Schema =
    Schema { namespace: "granola", name: "hk-category-sample", version: "1.0" };
/// Of correlations.
pub(super) const CORRELATION: Schema =
    Schema { namespace: "granola", name: "hk-correlation", version: "1.0" };

/// How numbers of `kind` in `unit` are written.
pub(super) fn plan(kind: Kind, unit: Unit) -> Plan {
    let generic = Plan {
        schema: QUANTITY,
        key: None,
        unit: unit.as_str(),
        conversion: None,
        percent: false,
        interval: false,
    };
    let Some(schema) = terms::of(kind).and_then(|term| term.omh) else { return generic };
    let Some(measure) = MEASURES.iter().find(|measure| measure.schema == schema.name) else { return generic };
    let Some((unit, conversion)) = in_units(unit, measure.units) else { return generic };
    let key = Some(measure.key);
    Plan { schema, key, unit, conversion, percent: unit == "%", interval: measure.interval }
}

/// The schema's name of `unit`, or of the first of `units` with the conversion to it.
pub(super) fn in_units(
    unit: Unit,
    units: &[(&'static str, &'static str)],
) -> Option<(&'static str, Option<Conversion>)> {
    if let Some((_, name)) = units.iter().find(|(known, _)| *known == unit.as_str()) {
        return Some((name, None));
    }
    // Open mHealth takes moles of glucose as they are.
    if units.contains(&("mg/dL", "mg/dL"))
        && unit.as_str().starts_with("mmol<")
        && unit.as_str().ends_with(">/L")
    {
        return Some(("mmol/L", None));
    }
    let (to, name) = units.first()?;
    let to = Unit::parse(to).ok()?;
    Some((name, Some(unit.conversion(to)?)))
}

/// Units of a distance.
pub(super) fn length(unit: Unit) -> Option<(&'static str, Option<Conversion>)> {
    in_units(unit, LENGTH)
}
