//! Numbers as people read them.

use super::{
    evaluate::{Shown, Value},
    fault::Fault,
    real::{Float, Real},
    units,
};
use dashu_base::{BitTest, Signed, UnsignedAbs};
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

/// The longest number that is written out.
const MAX_DIGITS: usize = 10_000;
/// The longest period that is written out.
const MAX_PERIOD: usize = 1_000;

/// How a result is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// 0.3333…
    #[default]
    Decimal,
    /// 1/3
    Fraction,
    /// 0.(3)
    Repeating,
    /// 3.333…e-1
    Scientific,
}

/// A result, written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) text: String,
    /// Whether the text is a number as JSON writes it.
    pub(super) is_number: bool,
    /// Whether the value is known exactly, be its decimal form endless or not.
    pub(super) is_exact: bool,
    /// The value as a fraction, if it is exact and not whole.
    pub(super) fraction: Option<String>,
    pub(super) unit: Option<String>,
}

pub(super) fn write(value: &Value, format: Format, digits: usize) -> Result<Written, Fault> {
    let unit = match &value.shown {
        Shown::In(unit) => Some(unit.clone()),
        _ => Some(units::written(&value.dimension)).filter(|unit| !unit.is_empty()),
    };
    let exact = value.re.exact().filter(|_| value.im.is_none());
    let fraction = exact
        .filter(|value| !value.is_int() && value.denominator().bit_len() < MAX_DIGITS)
        .map(|value| limited(format!("{}/{}", value.numerator(), value.denominator())))
        .transpose()?;
    let is_exact = exact.is_some();
    let text = match (&value.shown, &value.im) {
        (_, Some(im)) => complex(&value.re, im, digits)?,
        (Shown::Notation(notation), None) => in_notation(&value.re, notation, digits)?,
        (_, None) => real(&value.re, format, digits)?,
    };
    let is_number = value.im.is_none() && is_json_number(&text);
    Ok(Written { text, is_number, is_exact, fraction, unit })
}

fn real(value: &Real, format: Format, digits: usize) -> Result<String, Fault> {
    match (format, value.exact()) {
        (Format::Fraction, Some(value)) if value.is_int() => limited(value.numerator().to_string()),
        (Format::Fraction, Some(value)) => limited(format!("{}/{}", value.numerator(), value.denominator())),
        (Format::Repeating, Some(value)) => repeating(value, digits),
        (Format::Scientific, Some(value)) => Ok(Decimal::of_fraction(value, digits, true).scientific()),
        (Format::Scientific, None) => Ok(Decimal::of_float(&value.float()?, digits).scientific()),
        (_, Some(value)) => Ok(Decimal::of_fraction(value, digits, false).plain()),
        (_, None) => Ok(Decimal::of_float(&value.float()?, digits).plain()),
    }
}

fn complex(re: &Real, im: &Real, digits: usize) -> Result<String, Fault> {
    let (re, im) = (real(re, Format::Decimal, digits)?, real(im, Format::Decimal, digits)?);
    let sign = if im.starts_with('-') { "" } else { "+" };
    Ok(format!("{re}{sign}{im}i"))
}

fn in_notation(value: &Real, notation: &str, digits: usize) -> Result<String, Fault> {
    let radix = match notation {
        "fraction" => return real(value, Format::Fraction, digits),
        "scientific" => return real(value, Format::Scientific, digits),
        "decimal" => return real(value, Format::Decimal, digits),
        "hex" | "hexadecimal" => (16, "0x"),
        "oct" | "octal" => (8, "0o"),
        _ => (2, "0b"),
    };
    let whole = value.whole().ok_or_else(|| Fault::domain(format!("only whole numbers are written as {notation}")))?;
    let sign = if whole.is_negative() { "-" } else { "" };
    limited(format!("{sign}{}{}", radix.1, whole.clone().unsigned_abs().in_radix(radix.0)))
}

fn limited(text: String) -> Result<String, Fault> {
    if text.len() > MAX_DIGITS { Err(Fault::limit(format!("the result has more than {MAX_DIGITS} digits"))) } else { Ok(text) }
}

/// The decimal with its period in brackets, by long division.
fn repeating(value: &RBig, digits: usize) -> Result<String, Fault> {
    let (numerator, denominator) = (value.numerator().clone().unsigned_abs(), value.denominator().clone());
    let sign = if value.is_negative() { "-" } else { "" };
    let whole = (&numerator / &denominator).to_string();
    let mut rest = &numerator % &denominator;
    let mut seen: Vec<UBig> = Vec::new();
    let mut decimals = String::new();
    while !rest.is_zero() {
        if let Some(start) = seen.iter().position(|earlier| *earlier == rest) {
            return limited(format!("{sign}{whole}.{}({})", &decimals[..start], &decimals[start..]));
        }
        if seen.len() >= MAX_PERIOD {
            // A period that long helps nobody.
            return Ok(Decimal::of_fraction(value, digits, false).plain());
        }
        seen.push(rest.clone());
        rest *= UBig::from(10_u8);
        decimals.push_str(&(&rest / &denominator).to_string());
        rest %= &denominator;
    }
    limited(if decimals.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{decimals}") })
}

/// A decimal number: digits without zeros at their end, and the power of ten of the last of them.
struct Decimal {
    is_negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn new(is_negative: bool, digits: &str, exponent: i64) -> Self {
        let kept = digits.trim_start_matches('0').trim_end_matches('0');
        let dropped = digits.len() - digits.trim_end_matches('0').len();
        if kept.is_empty() {
            return Self { is_negative: false, digits: "0".into(), exponent: 0 };
        }
        Self { is_negative, digits: kept.to_owned(), exponent: exponent + i64::try_from(dropped).unwrap_or(i64::MAX) }
    }

    /// All digits of a fraction whose decimal form ends within reason; otherwise so many, rounded.
    fn of_fraction(value: &RBig, digits: usize, is_rounded: bool) -> Self {
        // Three bits and a third make a digit: what cannot be written out is not even tried.
        let is_writable = value.numerator().bit_len() < MAX_DIGITS * 10 / 3 && value.denominator().bit_len() < MAX_DIGITS * 10 / 3;
        if let Some(places) = is_writable.then(|| ending_places(value.denominator())).flatten() {
            let scaled = value.numerator() * IBig::from(UBig::from(10_u8).pow(places)) / IBig::from(value.denominator().clone());
            let exponent = -i64::try_from(places).unwrap_or(i64::MAX);
            let all = Self::new(value.is_negative(), &scaled.unsigned_abs().to_string(), exponent);
            let is_short = all.digits.len() <= MAX_DIGITS && all.written_length() <= MAX_DIGITS;
            if is_short || (is_rounded && all.digits.len() <= digits) {
                return all;
            }
        }
        Self::of_float(&super::real::to_float(value), digits)
    }

    fn of_float(value: &Float, digits: usize) -> Self {
        let rounded = value.clone().with_precision(digits).value();
        let (significand, exponent) = (rounded.repr().significand(), rounded.repr().exponent());
        Self::new(significand.is_negative(), &significand.clone().unsigned_abs().to_string(), exponent as i64)
    }

    /// How long it is written out without an exponent.
    fn written_length(&self) -> usize {
        let length = self.digits.len() as u64;
        let exponent = self.exponent.unsigned_abs();
        usize::try_from(if self.exponent >= 0 { length + exponent } else { length.max(exponent) + 2 }).unwrap_or(usize::MAX)
    }

    /// Written out where that is readable, otherwise with an exponent.
    fn plain(&self) -> String {
        const READABLE: usize = 60;
        let sign = if self.is_negative { "-" } else { "" };
        let places = usize::try_from(-self.exponent.min(0)).unwrap_or(usize::MAX);
        if self.exponent >= 0 {
            let is_readable = self.exponent == 0 || self.written_length() <= READABLE.max(self.digits.len() * 4);
            let zeros = usize::try_from(self.exponent).unwrap_or(0);
            return if is_readable { format!("{sign}{}{}", self.digits, "0".repeat(zeros)) } else { self.scientific() };
        }
        if places < self.digits.len() {
            let (before, after) = self.digits.split_at(self.digits.len() - places);
            return format!("{sign}{before}.{after}");
        }
        if self.written_length() <= READABLE.max(self.digits.len() * 2) {
            return format!("{sign}0.{}{}", "0".repeat(places - self.digits.len()), self.digits);
        }
        self.scientific()
    }

    fn scientific(&self) -> String {
        let sign = if self.is_negative { "-" } else { "" };
        let (first, rest) = self.digits.split_at(1);
        let power = self.exponent + i64::try_from(rest.len()).unwrap_or(i64::MAX);
        let point = if rest.is_empty() { "" } else { "." };
        format!("{sign}{first}{point}{rest}e{power}")
    }
}

/// How many places the decimal form of a fraction with this denominator has, if it ends.
fn ending_places(denominator: &UBig) -> Option<usize> {
    let mut rest = denominator.clone();
    let mut count = |factor: u8| {
        let factor = UBig::from(factor);
        let mut times = 0;
        while (&rest % &factor).is_zero() && times <= MAX_DIGITS {
            rest /= &factor;
            times += 1;
        }
        times
    };
    let places = count(2).max(count(5));
    (rest == UBig::ONE && places <= MAX_DIGITS).then_some(places)
}

/// Whether a text is a number in JSON, of a magnitude that a double can hold.
fn is_json_number(text: &str) -> bool {
    serde_json::from_str::<f64>(text).is_ok_and(f64::is_finite)
}
