//! Units of measurement with exact factors to the base units of the SI.

use super::real::Real;
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

/// The powers of length, mass, time, current, temperature, amount, luminous intensity and information.
pub(super) type Dimension = [i8; 8];

pub(super) const NONE: Dimension = [0; 8];
/// The symbols of the base units, in the order of [`Dimension`].
pub(super) const BASE: [&str; 8] = ["m", "kg", "s", "A", "K", "mol", "cd", "bit"];

const LENGTH: Dimension = [1, 0, 0, 0, 0, 0, 0, 0];
const MASS: Dimension = [0, 1, 0, 0, 0, 0, 0, 0];
const TIME: Dimension = [0, 0, 1, 0, 0, 0, 0, 0];
const CURRENT: Dimension = [0, 0, 0, 1, 0, 0, 0, 0];
const TEMPERATURE: Dimension = [0, 0, 0, 0, 1, 0, 0, 0];
const AMOUNT: Dimension = [0, 0, 0, 0, 0, 1, 0, 0];
const LIGHT: Dimension = [0, 0, 0, 0, 0, 0, 1, 0];
const DATA: Dimension = [0, 0, 0, 0, 0, 0, 0, 1];
const AREA: Dimension = [2, 0, 0, 0, 0, 0, 0, 0];
const VOLUME: Dimension = [3, 0, 0, 0, 0, 0, 0, 0];
const SPEED: Dimension = [1, 0, -1, 0, 0, 0, 0, 0];
const FREQUENCY: Dimension = [0, 0, -1, 0, 0, 0, 0, 0];
const FORCE: Dimension = [1, 1, -2, 0, 0, 0, 0, 0];
const PRESSURE: Dimension = [-1, 1, -2, 0, 0, 0, 0, 0];
const ENERGY: Dimension = [2, 1, -2, 0, 0, 0, 0, 0];
const POWER: Dimension = [2, 1, -3, 0, 0, 0, 0, 0];
const CHARGE: Dimension = [0, 0, 1, 1, 0, 0, 0, 0];
const VOLTAGE: Dimension = [2, 1, -3, -1, 0, 0, 0, 0];
const RESISTANCE: Dimension = [2, 1, -3, -2, 0, 0, 0, 0];
const CAPACITANCE: Dimension = [-2, -1, 4, 2, 0, 0, 0, 0];

/// A unit: its kind, and how many base units it is.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    pub(super) dimension: Dimension,
    pub(super) factor: Real,
    /// For scales whose zero is elsewhere (°C, °F): what to add, in base units, after the factor.
    pub(super) offset: Option<RBig>,
}

/// Which prefixes a unit takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Prefixes {
    None,
    /// k, M, m, µ … before a symbol.
    Symbol,
    /// kilo, mega, milli … before a word.
    Word,
    /// k, M, Ki, Mi … before bits and bytes.
    Data,
}

/// Names, factor as text (decimal or fraction), dimension, prefixes. The gram is the base here, the kilogram in [`BASE`].
const UNITS: &[(&[&str], &str, Dimension, Prefixes)] = {
    use Prefixes::{Data, None, Symbol, Word};
    &[
        (&["m"], "1", LENGTH, Symbol),
        (&["meter", "meters", "metre", "metres"], "1", LENGTH, Word),
        (&["inch", "inches", "in"], "0.0254", LENGTH, None),
        (&["ft", "foot", "feet"], "0.3048", LENGTH, None),
        (&["yd", "yard", "yards"], "0.9144", LENGTH, None),
        (&["mi", "mile", "miles"], "1609.344", LENGTH, None),
        (&["nmi", "nautical mile", "nautical miles"], "1852", LENGTH, None),
        (&["au", "AU"], "149597870700", LENGTH, None),
        (&["ly", "lightyear", "lightyears", "light year", "light years"], "9460730472580800", LENGTH, None),
        (&["g"], "0.001", MASS, Symbol),
        (&["gram", "grams", "gramme", "grammes"], "0.001", MASS, Word),
        (&["t", "tonne", "tonnes"], "1000", MASS, None),
        (&["lb", "lbs", "pound", "pounds"], "0.45359237", MASS, None),
        (&["oz", "ounce", "ounces"], "0.028349523125", MASS, None),
        (&["stone", "stones"], "6.35029318", MASS, None),
        (&["short ton", "short tons"], "907.18474", MASS, None),
        (&["s"], "1", TIME, Symbol),
        (&["sec", "secs", "second", "seconds"], "1", TIME, Word),
        (&["min", "mins", "minute", "minutes"], "60", TIME, None),
        (&["h", "hr", "hrs", "hour", "hours"], "3600", TIME, None),
        (&["d", "day", "days"], "86400", TIME, None),
        (&["week", "weeks"], "604800", TIME, None),
        (&["month", "months"], "2629800", TIME, None),
        (&["year", "years"], "31557600", TIME, None),
        (&["A"], "1", CURRENT, Symbol),
        (&["ampere", "amperes", "amp", "amps"], "1", CURRENT, Word),
        (&["K", "kelvin", "kelvins"], "1", TEMPERATURE, None),
        (&["mol", "mole", "moles"], "1", AMOUNT, None),
        (&["cd", "candela"], "1", LIGHT, None),
        (&["bit", "bits"], "1", DATA, Data),
        (&["B", "byte", "bytes"], "8", DATA, Data),
        (&["ha", "hectare", "hectares"], "10000", AREA, None),
        (&["acre", "acres"], "4046.8564224", AREA, None),
        (&["L", "l"], "0.001", VOLUME, Symbol),
        (&["liter", "liters", "litre", "litres"], "0.001", VOLUME, Word),
        (&["gal", "gallon", "gallons", "US gallon", "US gallons"], "0.003785411784", VOLUME, None),
        (&["UK gallon", "UK gallons", "imperial gallon", "imperial gallons"], "0.00454609", VOLUME, None),
        (&["qt", "quart", "quarts"], "0.000946352946", VOLUME, None),
        (&["pt", "pint", "pints"], "0.000473176473", VOLUME, None),
        (&["cup", "cups"], "0.0002365882365", VOLUME, None),
        (&["floz", "fl oz", "fluid ounce", "fluid ounces"], "0.0000295735295625", VOLUME, None),
        (&["tbsp", "tablespoon", "tablespoons"], "0.00001478676478125", VOLUME, None),
        (&["tsp", "teaspoon", "teaspoons"], "0.00000492892159375", VOLUME, None),
        (&["mph"], "0.44704", SPEED, None),
        (&["kph", "kmh"], "5/18", SPEED, None),
        (&["kn", "knot", "knots"], "1852/3600", SPEED, None),
        (&["Hz", "hertz"], "1", FREQUENCY, Symbol),
        (&["rpm"], "1/60", FREQUENCY, None),
        (&["N", "newton", "newtons"], "1", FORCE, Symbol),
        (&["lbf"], "4.4482216152605", FORCE, None),
        (&["Pa", "pascal", "pascals"], "1", PRESSURE, Symbol),
        (&["bar"], "100000", PRESSURE, Symbol),
        (&["atm"], "101325", PRESSURE, None),
        (&["psi"], "44482216152605/6451600000", PRESSURE, None),
        (&["mmHg"], "133.322387415", PRESSURE, None),
        (&["torr", "Torr"], "101325/760", PRESSURE, None),
        (&["J"], "1", ENERGY, Symbol),
        (&["joule", "joules"], "1", ENERGY, Word),
        (&["Wh"], "3600", ENERGY, Symbol),
        (&["cal"], "4.184", ENERGY, Symbol),
        (&["calorie", "calories"], "4.184", ENERGY, Word),
        (&["eV"], "0.0000000000000000001602176634", ENERGY, Symbol),
        (&["BTU", "Btu"], "1055.05585262", ENERGY, None),
        (&["W"], "1", POWER, Symbol),
        (&["watt", "watts"], "1", POWER, Word),
        (&["hp", "horsepower"], "745.69987158227022", POWER, None),
        (&["C", "coulomb", "coulombs"], "1", CHARGE, None),
        (&["V"], "1", VOLTAGE, Symbol),
        (&["volt", "volts"], "1", VOLTAGE, Word),
        (&["ohm", "ohms", "Ω"], "1", RESISTANCE, Symbol),
        (&["F", "farad", "farads"], "1", CAPACITANCE, Symbol),
    ]
};

const SYMBOL_PREFIXES: &[(&str, i32)] = &[
    ("da", 1),
    ("Y", 24),
    ("Z", 21),
    ("E", 18),
    ("P", 15),
    ("T", 12),
    ("G", 9),
    ("M", 6),
    ("k", 3),
    ("h", 2),
    ("d", -1),
    ("c", -2),
    ("m", -3),
    ("µ", -6),
    ("μ", -6),
    ("u", -6),
    ("n", -9),
    ("p", -12),
    ("f", -15),
    ("a", -18),
];
const WORD_PREFIXES: &[(&str, i32)] = &[
    ("tera", 12),
    ("giga", 9),
    ("mega", 6),
    ("kilo", 3),
    ("hecto", 2),
    ("deci", -1),
    ("centi", -2),
    ("milli", -3),
    ("micro", -6),
    ("nano", -9),
    ("pico", -12),
];
/// Binary prefixes, as powers of two.
const BINARY_PREFIXES: &[(&str, usize)] =
    &[("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60), ("kibi", 10), ("mebi", 20), ("gibi", 30), ("tebi", 40)];

/// The unit of this name.
pub(super) fn find(name: &str) -> Option<Unit> {
    scale(name).or_else(|| angle(name)).or_else(|| plain(name)).or_else(|| prefixed(name))
}

fn scale(name: &str) -> Option<Unit> {
    let (factor, offset) = match name {
        "degC" | "celsius" | "Celsius" | "℃" => ("1", "273.15"),
        "degF" | "fahrenheit" | "Fahrenheit" | "℉" => ("5/9", "45967/180"),
        _ => return None,
    };
    Some(Unit { dimension: TEMPERATURE, factor: Real::Exact(fraction(factor)), offset: Some(fraction(offset)) })
}

fn angle(name: &str) -> Option<Unit> {
    let factor = match name {
        "rad" | "radian" | "radians" => Real::one(),
        "deg" | "degree" | "degrees" => Real::Pi(fraction("1/180")),
        "grad" | "gradian" | "gradians" => Real::Pi(fraction("1/200")),
        "turn" | "turns" | "rev" => Real::Pi(fraction("2")),
        _ => return None,
    };
    Some(Unit { dimension: NONE, factor, offset: None })
}

fn plain(name: &str) -> Option<Unit> {
    let (_, factor, dimension, _) = UNITS.iter().find(|(names, ..)| names.contains(&name))?;
    Some(unit(fraction(factor), *dimension))
}

fn prefixed(name: &str) -> Option<Unit> {
    for (names, factor, dimension, prefixes) in UNITS {
        let powers = match prefixes {
            Prefixes::None => continue,
            Prefixes::Symbol => [SYMBOL_PREFIXES, &[]],
            Prefixes::Word => [WORD_PREFIXES, &[]],
            Prefixes::Data => [&[("k", 3), ("K", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)], WORD_PREFIXES],
        };
        let decimal = powers.into_iter().flatten().find(|(prefix, _)| is_with(name, prefix, names)).map(|(_, power)| power_of_ten(*power));
        let is_data = *prefixes == Prefixes::Data;
        let binary = || {
            BINARY_PREFIXES
                .iter()
                .filter(|_| is_data)
                .find(|(prefix, _)| is_with(name, prefix, names))
                .map(|(_, power)| power_of_two(*power))
        };
        if let Some(multiple) = decimal.or_else(binary) {
            return Some(unit(fraction(factor) * multiple, *dimension));
        }
    }
    None
}

fn is_with(name: &str, prefix: &str, names: &[&str]) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| names.contains(&rest))
}

fn unit(factor: RBig, dimension: Dimension) -> Unit {
    Unit { dimension, factor: Real::Exact(factor), offset: None }
}

fn power_of_ten(power: i32) -> RBig {
    RBig::from(IBig::from(10)).pow(power as isize)
}

fn power_of_two(power: usize) -> RBig {
    RBig::from(IBig::from(UBig::ONE << power))
}

/// Reads a factor of the table: a decimal, or a fraction of whole numbers.
fn fraction(text: &str) -> RBig {
    let whole = |digits: &str| digits.parse::<IBig>().expect("the table holds numbers");
    match text.split_once('/') {
        Some((top, bottom)) => RBig::from(whole(top)) / RBig::from(whole(bottom)),
        None => match text.split_once('.') {
            Some((before, after)) => {
                RBig::from(whole(&format!("{before}{after}"))) / power_of_ten(i32::try_from(after.len()).expect("factors are short"))
            }
            None => RBig::from(whole(text)),
        },
    }
}

/// How a dimension is written in base units: `m/s^2`.
pub(super) fn written(dimension: &Dimension) -> String {
    let part = |power: i8, symbol: &str| if power.abs() == 1 { symbol.to_owned() } else { format!("{symbol}^{}", power.abs()) };
    let side = |is_wanted: fn(&i8) -> bool| {
        let parts: Vec<String> =
            dimension.iter().zip(BASE).filter(|(power, _)| is_wanted(power)).map(|(power, symbol)| part(*power, symbol)).collect();
        parts.join("*")
    };
    match (side(|power| *power > 0), side(|power| *power < 0)) {
        (above, below) if below.is_empty() => above,
        (above, below) => format!("{}/{}", if above.is_empty() { "1" } else { &above }, below.replace('*', "/")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_factor_is_a_number_and_no_name_means_two_things() {
        let names: Vec<&str> = UNITS.iter().flat_map(|(names, ..)| names.iter().copied()).collect();
        for (index, name) in names.iter().enumerate() {
            assert!(find(name).is_some());
            assert!(!names[..index].contains(name), "{name} is there twice");
        }
        let factor = |name: &str| find(name).unwrap().factor.exact().unwrap().to_string();
        assert_eq!(factor("km"), "1000");
        assert_eq!(factor("MiB"), "8388608");
        assert_eq!(factor("megabytes"), "8000000");
        assert_eq!(factor("min"), "60", "not a milli-inch");
        assert!(find("kfoot").is_none());
    }

    #[test]
    fn dimensions_are_written_in_base_units() {
        assert_eq!(written(&SPEED), "m/s");
        assert_eq!(written(&ENERGY), "m^2*kg/s^2");
        assert_eq!(written(&FREQUENCY), "1/s");
    }
}
