//! The functions, each with how many arguments it takes.

use super::{
    evaluate::Angle,
    fault::{Class, Fault},
    real::{Budget, DIGITS, Float, Real, approx, bits, exact, exp, too_large},
};
use dashu_base::{Abs, BitTest, Gcd, Signed, UnsignedAbs};
use dashu_int::{IBig, UBig, fast_div::ConstDivisor};
use dashu_ratio::RBig;
use std::cmp::Ordering;

/// The largest argument of factorials and the like.
const MAX_FACTORIAL: usize = 20_000;
const MAX_FIBONACCI: usize = 100_000;

/// Names and how many arguments: at least, at most.
const FUNCTIONS: &[(&str, usize, usize)] = &[
    ("abs", 1, 1),
    ("sqrt", 1, 1),
    ("cbrt", 1, 1),
    ("root", 2, 2),
    ("exp", 1, 1),
    ("ln", 1, 1),
    ("log", 1, 2),
    ("log10", 1, 1),
    ("log2", 1, 1),
    ("sin", 1, 1),
    ("cos", 1, 1),
    ("tan", 1, 1),
    ("sec", 1, 1),
    ("csc", 1, 1),
    ("cot", 1, 1),
    ("asin", 1, 1),
    ("acos", 1, 1),
    ("atan", 1, 1),
    ("arcsin", 1, 1),
    ("arccos", 1, 1),
    ("arctan", 1, 1),
    ("atan2", 2, 2),
    ("sinh", 1, 1),
    ("cosh", 1, 1),
    ("tanh", 1, 1),
    ("asinh", 1, 1),
    ("acosh", 1, 1),
    ("atanh", 1, 1),
    ("floor", 1, 1),
    ("ceil", 1, 1),
    ("round", 1, 2),
    ("trunc", 1, 1),
    ("frac", 1, 1),
    ("sign", 1, 1),
    ("min", 1, MANY),
    ("max", 1, MANY),
    ("sum", 1, MANY),
    ("product", 1, MANY),
    ("mean", 1, MANY),
    ("avg", 1, MANY),
    ("median", 1, MANY),
    ("variance", 2, MANY),
    ("stdev", 2, MANY),
    ("gcd", 1, MANY),
    ("lcm", 1, MANY),
    ("factorial", 1, 1),
    ("gamma", 1, 1),
    ("nCr", 2, 2),
    ("nPr", 2, 2),
    ("fib", 1, 1),
    ("powmod", 3, 3),
    ("mod", 2, 2),
    ("pow", 2, 2),
    ("hypot", 2, MANY),
    ("if", 3, 3),
    ("re", 1, 1),
    ("im", 1, 1),
    ("conj", 1, 1),
    ("arg", 1, 1),
    ("isprime", 1, 1),
];
const MANY: usize = 1_000;

/// Other names of functions, as other calculators have them.
const ALIASES: &[(&str, &str)] = &[
    ("average", "mean"),
    ("std", "stdev"),
    ("stddev", "stdev"),
    ("var", "variance"),
    ("prod", "product"),
    ("ceiling", "ceil"),
    ("sgn", "sign"),
    ("fact", "factorial"),
    ("choose", "nCr"),
    ("binomial", "nCr"),
    ("ncr", "nCr"),
    ("npr", "nPr"),
    ("nthroot", "root"),
    ("lg", "log10"),
    ("lb", "log2"),
    ("cosec", "csc"),
    ("fibonacci", "fib"),
];

/// The one name by which a function is known from here on, if there is such a function.
pub(super) fn canonical(name: &str) -> Option<&'static str> {
    let meant = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, meant)| meant);
    FUNCTIONS.iter().map(|(known, ..)| *known).find(|known| *known == meant)
}

/// The known name that was probably meant.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let near = FUNCTIONS.iter().map(|(known, ..)| (strsim::osa_distance(name, known), *known)).min()?;
    (near.0 <= 2 && near.0 < name.chars().count()).then_some(near.1)
}

pub(super) fn check_arity(name: &str, given: usize) -> Result<(), Fault> {
    let (_, least, most) = FUNCTIONS.iter().find(|(known, ..)| *known == name).copied().unwrap_or(("", 0, MANY));
    if (least..=most).contains(&given) {
        return Ok(());
    }
    let takes = match (least, most) {
        (least, most) if least == most => format!("{least}"),
        (least, MANY) => format!("{least} or more"),
        (least, most) => format!("{least} to {most}"),
    };
    Err(Fault::new(Class::Arity, format!("{name} takes {takes} argument(s), not {given}")))
}

/// Applies a function to plain numbers. Arity is checked before.
pub(super) fn apply(name: &str, x: &[Real], angle: Angle, budget: &mut Budget) -> Result<Real, Fault> {
    budget.spend(256)?;
    let first = &x[0];
    match name {
        "abs" => first.clone().abs(),
        "sqrt" => first.root(2, budget),
        "cbrt" => first.root(3, budget),
        "root" => first.root(small(&x[1], 1_000, "root")?.max(1), budget),
        "exp" => e_to(first, budget),
        "ln" => ln(first, budget),
        "log10" => log(first, &Real::integer(10), budget),
        "log2" => log(first, &Real::integer(2), budget),
        "log" => log(first, x.get(1).unwrap_or(&Real::integer(10)), budget),
        "sin" | "cos" | "tan" | "sec" | "csc" | "cot" => trigonometric(name, &angle.in_radians(first, budget)?, budget),
        "asin" | "acos" | "atan" | "arcsin" | "arccos" | "arctan" => {
            angle.in_own_measure(&inverse(name.trim_start_matches("arc").trim_start_matches('a'), first, budget)?, budget)
        }
        "atan2" => angle.in_own_measure(&atan2(first, &x[1], budget)?, budget),
        "sinh" | "cosh" | "tanh" | "asinh" | "acosh" | "atanh" => hyperbolic(name, first, budget),
        "floor" => rounded(first, |value| value.floor()),
        "ceil" => rounded(first, |value| value.ceil()),
        "trunc" => rounded(first, |value| value.trunc()),
        "round" => round(first, x.get(1), budget),
        "frac" => first.sub(&rounded(first, |value| value.trunc())?, budget),
        "sign" => Ok(Real::integer(if first.is_zero() {
            0
        } else if first.is_negative() {
            -1
        } else {
            1
        })),
        "min" => extreme(x, Ordering::Less),
        "max" => extreme(x, Ordering::Greater),
        "sum" => sum(x, budget),
        "product" => x[1..].iter().try_fold(first.clone(), |product, value| product.mul(value, budget)),
        "mean" | "avg" => mean(x, budget),
        "median" => median(x, budget),
        "variance" => variance(x, budget),
        "stdev" => variance(x, budget)?.root(2, budget),
        "gcd" => whole_fold(x, budget, |a, b| IBig::from(a.gcd(b))),
        "lcm" => whole_fold(x, budget, |a, b| {
            if a.is_zero() || b.is_zero() { IBig::ZERO } else { (a / IBig::from(a.gcd(b)) * b).unsigned_abs().into() }
        }),
        "factorial" => factorial(first, budget),
        "gamma" => gamma(first, budget),
        "nCr" => binomial(first, &x[1], true, budget),
        "nPr" => binomial(first, &x[1], false, budget),
        "fib" => fibonacci(small(first, MAX_FIBONACCI, "fib")?, budget),
        "powmod" => powmod(x, budget),
        "mod" => modulo(first, &x[1], budget),
        "pow" => first.pow(&x[1], budget),
        "hypot" => {
            let squares = x.iter().map(|value| value.mul(value, budget)).collect::<Result<Vec<_>, _>>()?;
            sum(&squares, budget)?.root(2, budget)
        }
        "isprime" => is_prime(first, budget),
        "re" | "conj" => Ok(first.clone()),
        "im" => Ok(Real::zero()),
        "arg" => angle.in_own_measure(&if first.is_negative() { Real::Pi(RBig::ONE) } else { Real::zero() }, budget),
        _ => Err(Fault::new(Class::UnknownIdentifier, format!("unknown function {name:?}"))),
    }
}

fn small(value: &Real, limit: usize, of: &str) -> Result<usize, Fault> {
    let whole = value.whole().ok_or_else(|| Fault::domain(format!("{of} needs a whole number")))?;
    if whole.is_negative() {
        return Err(Fault::domain(format!("{of} needs a number that is not negative")));
    }
    usize::try_from(whole).ok().filter(|value| *value <= limit).ok_or_else(|| Fault::limit(format!("{of} takes numbers up to {limit}")))
}

fn whole<'a>(value: &'a Real, of: &str) -> Result<&'a IBig, Fault> {
    value.whole().ok_or_else(|| Fault::domain(format!("{of} needs whole numbers")))
}

pub(super) fn e_to(power: &Real, budget: &mut Budget) -> Result<Real, Fault> {
    match power {
        Real::Exact(power) => {
            let power = Real::power_of_e(power.clone())?;
            power.float().map(|_| power)
        }
        other => approx(exp(&other.float()?)?, budget),
    }
}

pub(super) fn ln(value: &Real, budget: &mut Budget) -> Result<Real, Fault> {
    budget.spend(8192)?;
    match value {
        Real::Exp(power) => Ok(Real::Exact(power.clone())),
        value if value.is_zero() || value.is_negative() => Err(Fault::domain("a logarithm needs a number above 0")),
        Real::Exact(one) if *one == RBig::ONE => Ok(Real::zero()),
        Real::Exact(near) if (near - RBig::ONE).abs() < RBig::from_parts(IBig::ONE, UBig::from(10_u8)) => {
            // Near 1 the digits of the distance are what matters.
            approx(super::real::to_float(&(near - RBig::ONE)).ln_1p(), budget)
        }
        value => approx(value.float()?.ln(), budget),
    }
}

/// The logarithm of `value` to a base, exact if there is an exact one.
fn log(value: &Real, base: &Real, budget: &mut Budget) -> Result<Real, Fault> {
    if base.is_zero() || base.is_negative() || matches!(base, Real::Exact(one) if *one == RBig::ONE) {
        return Err(Fault::domain("the base of a logarithm must be above 0 and not 1"));
    }
    let logarithm = ln(value, budget)?;
    if logarithm.is_zero() {
        return Ok(logarithm);
    }
    let quotient = logarithm.div(&ln(base, budget)?, budget)?;
    let guess = rounded(&quotient, |value| value.round())?;
    if base.exact().is_some()
        && let Some(value) = value.exact()
        && let Ok(power) = base.pow(&guess, budget)
        && power.exact() == Some(value)
    {
        return Ok(guess);
    }
    Ok(quotient)
}

fn trigonometric(name: &str, radians: &Real, budget: &mut Budget) -> Result<Real, Fault> {
    let one = Real::one();
    match name {
        "sin" => sine(radians, budget),
        "cos" => cosine(radians, budget),
        "tan" => tangent(radians, budget),
        "sec" => one.div(&cosine(radians, budget)?, budget).map_err(pole),
        "csc" => one.div(&sine(radians, budget)?, budget).map_err(pole),
        _ => cosine(radians, budget)?.div(&sine(radians, budget)?, budget).map_err(pole),
    }
}

fn pole(fault: Fault) -> Fault {
    if fault.class == Class::DivisionByZero { Fault::domain("the function has a pole there") } else { fault }
}

/// How many twelfths of π, within one turn of 24, if it is a whole number of them.
fn twelfths(radians: &Real) -> Option<usize> {
    let times = match radians {
        Real::Pi(times) => times.clone(),
        Real::Exact(zero) if zero.is_zero() => RBig::ZERO,
        _ => return None,
    };
    let twelfths = times * RBig::from(IBig::from(12));
    if !twelfths.is_int() {
        return None;
    }
    let turn = IBig::from(24);
    usize::try_from(((twelfths.numerator() % &turn) + &turn) % &turn).ok()
}

fn half(sign: i32) -> Real {
    Real::Exact(RBig::from_parts(IBig::from(sign), UBig::from(2_u8)))
}

fn sine(radians: &Real, budget: &mut Budget) -> Result<Real, Fault> {
    match twelfths(radians) {
        Some(0 | 12) => Ok(Real::zero()),
        Some(2 | 10) => Ok(half(1)),
        Some(14 | 22) => Ok(half(-1)),
        Some(6) => Ok(Real::one()),
        Some(18) => Ok(Real::integer(-1)),
        _ => approx(reducible(radians, budget)?.sin(), budget),
    }
}

fn cosine(radians: &Real, budget: &mut Budget) -> Result<Real, Fault> {
    match twelfths(radians) {
        Some(6 | 18) => Ok(Real::zero()),
        Some(4 | 20) => Ok(half(1)),
        Some(8 | 16) => Ok(half(-1)),
        Some(0) => Ok(Real::one()),
        Some(12) => Ok(Real::integer(-1)),
        _ => approx(reducible(radians, budget)?.cos(), budget),
    }
}

fn tangent(radians: &Real, budget: &mut Budget) -> Result<Real, Fault> {
    match twelfths(radians) {
        Some(0 | 12) => Ok(Real::zero()),
        Some(3 | 15) => Ok(Real::one()),
        Some(9 | 21) => Ok(Real::integer(-1)),
        Some(6 | 18) => Err(Fault::domain("the tangent has a pole there")),
        _ => approx(reducible(radians, budget)?.tan(), budget),
    }
}

/// The argument of a periodic function, with digits enough to find its place in the period.
fn reducible(radians: &Real, budget: &mut Budget) -> Result<Float, Fault> {
    const MAX_BITS: usize = 4096;
    budget.spend(16_384)?;
    match radians {
        Real::Exact(value) | Real::Pi(value) => {
            let size = value.numerator().bit_len().saturating_sub(value.denominator().bit_len());
            if size > MAX_BITS {
                return Err(Fault::limit("the angle is too large to be reduced"));
            }
            // Three bits and a bit make a digit.
            let digits = DIGITS + size / 3;
            let value = value.to_float::<dashu_float::round::mode::HalfAway, 10>(digits).value();
            Ok(if matches!(radians, Real::Pi(_)) { value * Float::pi(digits + 5) } else { value })
        }
        other => {
            let value = other.float()?;
            if value.repr().exponent() + isize::try_from(DIGITS).unwrap_or(0) > 40 + isize::try_from(DIGITS).unwrap_or(0) {
                return Err(Fault::limit("the angle is too large to be reduced"));
            }
            Ok(value)
        }
    }
}

fn inverse(name: &str, value: &Real, budget: &mut Budget) -> Result<Real, Fault> {
    budget.spend(8192)?;
    let of_pi = |top: i32, bottom: u8| Ok(Real::Pi(RBig::from_parts(IBig::from(top), UBig::from(bottom))));
    let known = value.exact().and_then(|value| {
        i32::try_from((value * RBig::from(IBig::from(2))).numerator()).ok().filter(|_| (value * RBig::from(IBig::from(2))).is_int())
    });
    match (name, known) {
        ("sin" | "tan", Some(0)) => Ok(Real::zero()),
        ("sin", Some(sign @ (1 | -1))) => of_pi(sign, 6),
        ("sin", Some(sign @ (2 | -2))) => of_pi(sign / 2, 2),
        ("cos", Some(0)) => of_pi(1, 2),
        ("cos", Some(1)) => of_pi(1, 3),
        ("cos", Some(-1)) => of_pi(2, 3),
        ("cos", Some(2)) => Ok(Real::zero()),
        ("cos", Some(-2)) => of_pi(1, 1),
        ("tan", Some(sign @ (2 | -2))) => of_pi(sign / 2, 4),
        ("tan", _) => approx(value.float()?.atan(), budget),
        _ => {
            if value.clone().abs()?.compare(&Real::one())? == Ordering::Greater {
                return Err(Fault::domain(format!("a{name} takes numbers from -1 to 1")));
            }
            let value = value.float()?;
            approx(if name == "sin" { value.asin() } else { value.acos() }, budget)
        }
    }
}

fn atan2(y: &Real, x: &Real, budget: &mut Budget) -> Result<Real, Fault> {
    let half_pi = |sign: i32| Real::Pi(RBig::from_parts(IBig::from(sign), UBig::from(2_u8)));
    if x.is_zero() {
        return if y.is_zero() {
            Err(Fault::domain("atan2(0, 0) is not defined"))
        } else {
            Ok(half_pi(if y.is_negative() { -1 } else { 1 }))
        };
    }
    let angle = inverse("tan", &y.div(x, budget)?, budget)?;
    match (x.is_negative(), y.is_negative()) {
        (false, _) => Ok(angle),
        (true, false) => angle.add(&Real::Pi(RBig::ONE), budget),
        (true, true) => angle.sub(&Real::Pi(RBig::ONE), budget),
    }
}

fn hyperbolic(name: &str, value: &Real, budget: &mut Budget) -> Result<Real, Fault> {
    budget.spend(8192)?;
    let one = Real::one();
    let is_within =
        |bound: &Real, wanted: Ordering| value.clone().abs().and_then(|value| value.compare(bound)).map(|order| order == wanted);
    match name {
        "sinh" | "tanh" | "asinh" | "atanh" if value.is_zero() => return Ok(Real::zero()),
        "cosh" if value.is_zero() => return Ok(one),
        "acosh" if value.compare(&one)? == Ordering::Less => return Err(Fault::domain("acosh takes numbers from 1 on")),
        "acosh" if value.compare(&one)? == Ordering::Equal => return Ok(Real::zero()),
        "atanh" if !is_within(&one, Ordering::Less)? => return Err(Fault::domain("atanh takes numbers between -1 and 1")),
        _ => {}
    }
    let x = value.float()?;
    if matches!(name, "sinh" | "cosh" | "tanh") {
        // Bounds the magnitude before it is computed.
        exp(&x)?;
    }
    let result = match name {
        "sinh" => x.sinh(),
        "cosh" => x.cosh(),
        "tanh" => x.tanh(),
        "asinh" => x.asinh(),
        "acosh" => x.acosh(),
        _ => x.atanh(),
    };
    approx(result, budget)
}

/// Rounds to a whole number. An approximation of more digits than we compute has no last one.
fn rounded(value: &Real, round: impl Fn(&RBig) -> IBig) -> Result<Real, Fault> {
    match value {
        Real::Exact(value) => Ok(Real::Exact(RBig::from(round(value)))),
        other => {
            let value = as_fraction(&other.float()?)?;
            Ok(Real::Exact(RBig::from(round(&value))))
        }
    }
}

/// The fraction that a decimal is.
pub(super) fn as_fraction(value: &Float) -> Result<RBig, Fault> {
    const MAX_DIGITS: usize = 2_000;
    let (significand, exponent) = (value.repr().significand().clone(), value.repr().exponent());
    if exponent.unsigned_abs() > MAX_DIGITS {
        return Err(too_large());
    }
    let power = UBig::from(10_u8).pow(exponent.unsigned_abs());
    Ok(if exponent >= 0 { RBig::from(significand * IBig::from(power)) } else { RBig::from_parts(significand, power) })
}

/// To the nearest, half away from zero: 2.5 is 3, as people round.
fn round(value: &Real, places: Option<&Real>, budget: &mut Budget) -> Result<Real, Fault> {
    let half_away = |value: &RBig| {
        let half = RBig::from_parts(IBig::ONE, UBig::from(2_u8));
        if value.is_negative() { (value - half).ceil() } else { (value + half).floor() }
    };
    let Some(places) = places else { return rounded(value, half_away) };
    let places = places.whole().and_then(|places| i32::try_from(places).ok()).filter(|places| places.abs() <= 1_000);
    let places = places.ok_or_else(|| Fault::domain("round takes a whole number of places from -1000 to 1000"))?;
    let scale = Real::Exact(RBig::from(IBig::from(10)).pow(places as isize));
    rounded(&value.mul(&scale, budget)?, half_away)?.div(&scale, budget)
}

fn extreme(values: &[Real], wanted: Ordering) -> Result<Real, Fault> {
    let mut best = &values[0];
    for value in &values[1..] {
        if value.compare(best)? == wanted {
            best = value;
        }
    }
    Ok(best.clone())
}

fn sum(values: &[Real], budget: &mut Budget) -> Result<Real, Fault> {
    values.iter().try_fold(Real::zero(), |sum, value| sum.add(value, budget))
}

fn mean(values: &[Real], budget: &mut Budget) -> Result<Real, Fault> {
    sum(values, budget)?.div(&Real::integer(values.len()), budget)
}

fn median(values: &[Real], budget: &mut Budget) -> Result<Real, Fault> {
    let mut sorted = values.to_vec();
    let mut fault = None;
    sorted.sort_by(|a, b| {
        a.compare(b).unwrap_or_else(|error| {
            fault = Some(error);
            Ordering::Equal
        })
    });
    if let Some(fault) = fault {
        return Err(fault);
    }
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { Ok(sorted[middle].clone()) } else { mean(&sorted[middle - 1..=middle], budget) }
}

/// Of a sample: divided by one less than there are values.
fn variance(values: &[Real], budget: &mut Budget) -> Result<Real, Fault> {
    let mean = mean(values, budget)?;
    let squares = values
        .iter()
        .map(|value| value.sub(&mean, budget).and_then(|distance| distance.mul(&distance, budget)))
        .collect::<Result<Vec<_>, _>>()?;
    sum(&squares, budget)?.div(&Real::integer(values.len() - 1), budget)
}

fn whole_fold(values: &[Real], budget: &mut Budget, fold: impl Fn(&IBig, &IBig) -> IBig) -> Result<Real, Fault> {
    let mut result = whole(&values[0], "the function")?.clone();
    for value in &values[1..] {
        let value = whole(value, "the function")?;
        budget.spend(16 * (bits(&RBig::from(result.clone())) + bits(&RBig::from(value.clone()))))?;
        result = fold(&result, value);
        exact(RBig::from(result.clone()))?;
    }
    exact(RBig::from(IBig::from(result.unsigned_abs())))
}

pub(super) fn factorial(value: &Real, budget: &mut Budget) -> Result<Real, Fault> {
    let n = small(value, MAX_FACTORIAL, "a factorial")?;
    budget.spend(n * 64)?;
    Ok(Real::Exact(RBig::from(IBig::from(product(1, n)))))
}

/// The product of the numbers from `low` to `high`, by halves, so that factors stay alike in size.
fn product(low: usize, high: usize) -> UBig {
    match high.saturating_sub(low) {
        _ if low > high => UBig::ONE,
        0..8 => (low..=high).fold(UBig::ONE, |product, factor| product * UBig::from(factor)),
        _ => {
            let middle = low.midpoint(high);
            product(low, middle) * product(middle + 1, high)
        }
    }
}

fn binomial(n: &Real, k: &Real, is_unordered: bool, budget: &mut Budget) -> Result<Real, Fault> {
    const MAX_N: usize = 1_000_000_000_000;
    let (n, k) = (small(n, MAX_N, "n")?, small(k, MAX_N, "k")?);
    if k > n {
        return Ok(Real::zero());
    }
    let k = if is_unordered { k.min(n - k) } else { k };
    if k > MAX_FACTORIAL {
        return Err(too_large());
    }
    budget.spend(k * 128)?;
    let ordered = product(n - k + 1, n);
    Ok(Real::Exact(RBig::from(IBig::from(if is_unordered { ordered / product(1, k) } else { ordered }))))
}

fn fibonacci(n: usize, budget: &mut Budget) -> Result<Real, Fault> {
    budget.spend(n * 8)?;
    // From F(k) and F(k+1) follow F(2k) and F(2k+1).
    let (mut a, mut b) = (UBig::ZERO, UBig::ONE);
    for bit in (0..usize::BITS - n.leading_zeros()).rev() {
        let doubled = &a * (&b * UBig::from(2_u8) - &a);
        let next = &a * &a + &b * &b;
        (a, b) = if n >> bit & 1 == 1 { (next.clone(), doubled + next) } else { (doubled, next) };
    }
    Ok(Real::Exact(RBig::from(IBig::from(a))))
}

fn powmod(x: &[Real], budget: &mut Budget) -> Result<Real, Fault> {
    const MAX_BITS: usize = 4096;
    let (base, exponent, modulus) = (whole(&x[0], "powmod")?, whole(&x[1], "powmod")?, whole(&x[2], "powmod")?);
    if modulus.is_zero() {
        return Err(Fault::division_by_zero());
    }
    if exponent.is_negative() || modulus.is_negative() {
        return Err(Fault::domain("powmod needs an exponent and a modulus that are not negative"));
    }
    let size = |value: &IBig| value.bit_len();
    if size(exponent) > MAX_BITS || size(modulus) > MAX_BITS || size(base) > MAX_BITS {
        return Err(Fault::limit(format!("powmod takes numbers of up to {MAX_BITS} bits")));
    }
    budget.spend(size(exponent) * size(modulus) / 4)?;
    let ring = ConstDivisor::new(modulus.clone().unsigned_abs());
    let power = ring.reduce(base.clone()).pow(&exponent.clone().unsigned_abs());
    Ok(Real::Exact(RBig::from(IBig::from(power.residue()))))
}

/// With the sign of the divisor: 7 mod -3 is -2.
pub(super) fn modulo(value: &Real, divisor: &Real, budget: &mut Budget) -> Result<Real, Fault> {
    if divisor.is_zero() {
        return Err(Fault::division_by_zero());
    }
    let quotient = rounded(&value.div(divisor, budget)?, |value| value.floor())?;
    value.sub(&quotient.mul(divisor, budget)?, budget)
}

/// By trial division, for numbers of up to 40 bits.
fn is_prime(value: &Real, budget: &mut Budget) -> Result<Real, Fault> {
    let n = small(value, 1 << 40, "isprime")?;
    budget.spend(1 << 20)?;
    let has_divisor = || (2..).take_while(|divisor| divisor * divisor <= n).any(|divisor| n % divisor == 0);
    Ok(Real::truth(n > 1 && !has_divisor()))
}

/// Exact for whole numbers and, but for the root of π, for halves; otherwise by Spouge's formula (1994).
fn gamma(value: &Real, budget: &mut Budget) -> Result<Real, Fault> {
    if let Some(n) = value.whole() {
        if n.is_negative() || n.is_zero() {
            return Err(Fault::domain("gamma has a pole there"));
        }
        return factorial(&value.sub(&Real::one(), budget)?, budget);
    }
    let limit = Real::integer(MAX_FACTORIAL);
    if value.clone().abs()?.compare(&limit)? == Ordering::Greater {
        return Err(Fault::limit(format!("gamma takes numbers up to {MAX_FACTORIAL}")));
    }
    budget.spend(1 << 20)?;
    let half = RBig::from_parts(IBig::ONE, UBig::from(2_u8));
    if value.compare(&Real::Exact(half))? == Ordering::Less {
        // Γ(x) Γ(1-x) = π / sin(πx)
        let mirrored = gamma(&Real::one().sub(value, budget)?, budget)?;
        let sine = sine(&value.mul(&Real::Pi(RBig::ONE), budget)?, budget)?;
        return Real::Pi(RBig::ONE).div(&sine.mul(&mirrored, budget)?, budget);
    }
    approx(spouge(&(value.float()? - Float::ONE)), budget)
}

/// Γ(z+1) to some 35 digits. The terms are large and alternate, so they are computed with more.
fn spouge(z: &Float) -> Float {
    const A: u32 = 44;
    let precise = |value: u32| Float::from(value).with_precision(DIGITS + 30).value();
    let z = z.clone().with_precision(DIGITS + 30).value();
    let mut sum = (Float::pi(DIGITS + 30) * precise(2)).sqrt();
    let mut factorial = precise(1);
    for k in 1..A {
        if k > 1 {
            factorial *= -precise(k - 1);
        }
        let rest = precise(A - k);
        let term = rest.powi(IBig::from(k)) / rest.sqrt() * rest.exp() / &factorial;
        sum += term / (&z + precise(k));
    }
    let shifted = &z + precise(A);
    let exponent = &z + precise(1) / precise(2);
    (shifted.ln() * exponent - &shifted).exp() * sum
}
