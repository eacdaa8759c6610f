use super::definition::Definition;
use super::dimension::Dimension;
use super::fraction::Fraction;

/// A unit symbol: how many base units it is, and whether it takes an SI prefix.
struct Symbol {
    text: &'static str,
    dimension: Dimension,
    numerator: i128,
    denominator: i128,
    prefixes: bool,
}

const fn si(text: &'static str, dimension: Dimension, numerator: i128, denominator: i128) -> Symbol {
    Symbol { text, dimension, numerator, denominator, prefixes: true }
}

const fn other(text: &'static str, dimension: Dimension, numerator: i128, denominator: i128) -> Symbol {
    Symbol { text, dimension, numerator, denominator, prefixes: false }
}

/// π as the nearest float, which is exactly this fraction.
const PI: (i128, i128) = (884_279_719_003_555, 281_474_976_710_656);

/// Every symbol of HealthKit's `HKUnit.h`, in gram, metre, second, kelvin, ampere. Where that header rounds
/// (a pound as 453.592 g, a mile as 1609.34 m, an inch of mercury as 3386.38816 Pa) the definition stands
/// here instead.
const SYMBOLS: &[Symbol] = &[
    // SI (BIPM, The International System of Units, 9th edition); base units and coherent derived ones, with 1
    // kg as 1000 g. The litre is 1 dm³.
    si("g", Dimension::MASS, 1, 1),
    si("m", Dimension::LENGTH, 1, 1),
    si("L", Dimension::VOLUME, 1, 1000),
    si("l", Dimension::VOLUME, 1, 1000),
    si("Pa", Dimension::PRESSURE, 1000, 1),
    si("s", Dimension::TIME, 1, 1),
    si("J", Dimension::ENERGY, 1000, 1),
    si("K", Dimension::TEMPERATURE, 1, 1),
    si("S", Dimension::CONDUCTANCE, 1, 1000),
    si("Hz", Dimension::FREQUENCY, 1, 1),
    si("V", Dimension::VOLTAGE, 1000, 1),
    si("W", Dimension::POWER, 1000, 1),
    si("lx", Dimension::ILLUMINANCE, 1, 1),
    si("rad", Dimension::ANGLE, 1, 1),
    // Without a molar mass an amount; with one a mass, see `molar`.
    si("mol", Dimension::AMOUNT, 1, 1),
    other("deg", Dimension::ANGLE, PI.0, 180 * PI.1),
    // International yard and pound agreement, 1959: 1 yd = 0.9144 m, 1 lb = 453.59237 g.
    other("in", Dimension::LENGTH, 254, 10_000),
    other("ft", Dimension::LENGTH, 3048, 10_000),
    other("yd", Dimension::LENGTH, 9144, 10_000),
    other("mi", Dimension::LENGTH, 1_609_344, 1000),
    other("oz", Dimension::MASS, 45_359_237, 1_600_000),
    other("lb", Dimension::MASS, 45_359_237, 100_000),
    other("st", Dimension::MASS, 14 * 45_359_237, 100_000),
    // US gallon of 231 cubic inches (NIST Handbook 44, appendix C): 3.785411784 L; /128, /8, /16.
    other("fl_oz_us", Dimension::VOLUME, 3_785_411_784, 128 * 1_000_000_000_000),
    other("pt_us", Dimension::VOLUME, 3_785_411_784, 8 * 1_000_000_000_000),
    other("cup_us", Dimension::VOLUME, 3_785_411_784, 16 * 1_000_000_000_000),
    // Imperial gallon (UK Units of Measurement Regulations 1995): 4.54609 L; /160, /8, /16.
    other("fl_oz_imp", Dimension::VOLUME, 454_609, 160 * 100_000_000),
    other("pt_imp", Dimension::VOLUME, 454_609, 8 * 100_000_000),
    other("cup_imp", Dimension::VOLUME, 454_609, 16 * 100_000_000),
    other("min", Dimension::TIME, 60, 1),
    other("hr", Dimension::TIME, 3600, 1),
    other("d", Dimension::TIME, 86_400, 1),
    // Thermochemical calorie: 4.184 J (ISO 80000-5). HealthKit's Cal is the large one, a kilocalorie.
    other("cal", Dimension::ENERGY, 4184, 1),
    other("kcal", Dimension::ENERGY, 4_184_000, 1),
    other("Cal", Dimension::ENERGY, 4_184_000, 1),
    // Conventional columns (ISO 80000-4 annex; NIST SP 811, B.8): mercury 13.5951 g/cm³ and water 1 g/cm³
    // under standard gravity 9.80665 m/s². 1 mmHg = 133.322387415 Pa, 1 inHg = 25.4 mmHg, 1 cmAq = 98.0665
    // Pa.
    other("mmHg", Dimension::PRESSURE, 133_322_387_415, 1_000_000),
    other("inHg", Dimension::PRESSURE, 254 * 133_322_387_415, 10_000_000),
    other("cmAq", Dimension::PRESSURE, 980_665, 10),
    // Standard atmosphere (10th CGPM, 1954): 101,325 Pa.
    other("atm", Dimension::PRESSURE, 101_325_000, 1),
    // ISO 13666: the dioptre is 1/m; the prism dioptre, a deflection of 1 cm at 1 m, is not proportional to
    // an angle.
    other("D", Dimension::OPTICAL_POWER, 1, 1),
    other("pD", Dimension::PRISM, 1, 1),
    // Not convertible into anything else in HealthKit. A percentage is a fraction: 0.97 is 97 %.
    other("count", Dimension::COUNT, 1, 1),
    other("%", Dimension::PERCENT, 1, 1),
    other("IU", Dimension::INTERNATIONAL_UNIT, 1, 1),
    other("dBASPL", Dimension::SOUND_PRESSURE_LEVEL, 1, 1),
    other("dBHL", Dimension::HEARING_LEVEL, 1, 1),
    other("appleEffortScore", Dimension::EFFORT, 1, 1),
];

/// SI prefixes as HealthKit writes them; `mc` is micro. The two micro signs are what other tools write.
const PREFIXES: &[(&str, i128, i128)] = &[
    ("f", 1, 1_000_000_000_000_000),
    ("p", 1, 1_000_000_000_000),
    ("n", 1, 1_000_000_000),
    ("mc", 1, 1_000_000),
    ("\u{b5}", 1, 1_000_000),
    ("\u{3bc}", 1, 1_000_000),
    ("m", 1, 1000),
    ("c", 1, 100),
    ("d", 1, 10),
    ("da", 10, 1),
    ("h", 100, 1),
    ("k", 1000, 1),
    ("M", 1_000_000, 1),
    ("G", 1_000_000_000, 1),
    ("T", 1_000_000_000_000, 1),
];

/// What one symbol with its prefix means: `mcg`, `mmHg`, `degF`, `mmol<180.1558>`. A symbol wins over a
/// prefix with a symbol: `min` is a minute, `ft` a foot.
pub(super) fn define(text: &str) -> Option<Definition> {
    match text {
        "1" => return Some(Definition::ONE),
        // t/°C = T/K − 273.15; t/°F = 1.8 t/°C + 32, so its zero is 459.67 · 5/9 K.
        "degC" => return temperature((1, 1), (27_315, 100)),
        "degF" => return temperature((5, 9), (45_967 * 5, 900)),
        _ => {}
    }
    if let Some((amount, molar_mass)) = text.strip_suffix('>').and_then(|text| text.split_once('<')) {
        return molar(amount, molar_mass);
    }
    if let Some(symbol) = SYMBOLS.iter().find(|symbol| symbol.text == text) {
        return symbol.definition((1, 1));
    }
    PREFIXES.iter().find_map(|&(prefix, numerator, denominator)| {
        let rest = text.strip_prefix(prefix)?;
        let symbol = SYMBOLS.iter().find(|symbol| symbol.prefixes && symbol.text == rest)?;
        symbol.definition((numerator, denominator))
    })
}

impl Symbol {
    fn definition(&self, prefix: (i128, i128)) -> Option<Definition> {
        let factor =
            Fraction::new(self.numerator, self.denominator)?.times(Fraction::new(prefix.0, prefix.1)?)?;
        Some(Definition { dimension: self.dimension, factor, zero: Fraction::ZERO })
    }
}

/// Moles of a substance of so many grams a mole are a mass.
fn molar(amount: &str, molar_mass: &str) -> Option<Definition> {
    let amount = define(amount).filter(|definition| definition.dimension == Dimension::AMOUNT)?;
    let grams = Fraction::decimal(molar_mass).filter(|grams| !grams.is_zero())?;
    Some(Definition { dimension: Dimension::MASS, factor: amount.factor.times(grams)?, zero: Fraction::ZERO })
}

fn temperature(factor: (i128, i128), zero: (i128, i128)) -> Option<Definition> {
    Some(Definition {
        dimension: Dimension::TEMPERATURE,
        factor: Fraction::new(factor.0, factor.1)?,
        zero: Fraction::new(zero.0, zero.1)?,
    })
}
