//! Real numbers, exact as long as they can be: fractions, multiples of π and powers of e stay what they are; everything
//! else is a decimal of [`DIGITS`] digits.

use super::fault::Fault;
use dashu_base::{Abs, BitTest, DivRem, Signed, UnsignedAbs};
use dashu_float::{FBig, round::mode::HalfAway};
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;
use std::cmp::Ordering;

/// The digits with which approximations are computed. What is shown has fewer.
pub(super) const DIGITS: usize = 60;
/// The most bits of a whole number.
const MAX_INTEGER_BITS: usize = 1 << 20;
/// The most bits of a fraction: reducing it is dear.
const MAX_FRACTION_BITS: usize = 1 << 16;
/// The largest power of ten of an approximation.
const MAX_MAGNITUDE: isize = 1_000_000;

pub(super) type Float = FBig<HalfAway, 10>;

#[derive(Debug, Clone)]
pub(super) enum Real {
    Exact(RBig),
    /// This many times π.
    Pi(RBig),
    /// e to this power, which is not 0.
    Exp(RBig),
    Approx(Float),
}

/// What is left of the work that one evaluation may do, in bits touched.
#[derive(Debug)]
pub(super) struct Budget(u64);

impl Budget {
    pub(super) fn new() -> Self {
        Self(1 << 24)
    }

    pub(super) fn spend(&mut self, bits: usize) -> Result<(), Fault> {
        self.0 = self.0.checked_sub(bits as u64 + 64).ok_or_else(|| Fault::limit("the expression is too much work"))?;
        Ok(())
    }
}

impl Real {
    pub(super) fn zero() -> Self {
        Self::Exact(RBig::ZERO)
    }

    pub(super) fn one() -> Self {
        Self::Exact(RBig::ONE)
    }

    pub(super) fn integer(value: impl Into<IBig>) -> Self {
        Self::Exact(RBig::from(value.into()))
    }

    pub(super) fn truth(is_true: bool) -> Self {
        if is_true { Self::one() } else { Self::zero() }
    }

    pub(super) fn exact(&self) -> Option<&RBig> {
        if let Self::Exact(value) = self { Some(value) } else { None }
    }

    /// The value, if it is a whole number.
    pub(super) fn whole(&self) -> Option<&IBig> {
        self.exact().filter(|value| value.is_int()).map(RBig::numerator)
    }

    pub(super) fn is_zero(&self) -> bool {
        match self {
            Self::Exact(value) => value.is_zero(),
            Self::Approx(value) => value.repr().significand().is_zero(),
            Self::Pi(_) | Self::Exp(_) => false,
        }
    }

    pub(super) fn is_negative(&self) -> bool {
        match self {
            Self::Exact(value) | Self::Pi(value) => value.is_negative() && !value.is_zero(),
            Self::Approx(value) => value.is_negative() && !self.is_zero(),
            Self::Exp(_) => false,
        }
    }

    pub(super) fn float(&self) -> Result<Float, Fault> {
        Ok(match self {
            Self::Exact(value) => to_float(value),
            Self::Pi(times) => to_float(times) * Float::pi(DIGITS + 5),
            Self::Exp(power) => exp(&to_float(power))?,
            Self::Approx(value) => value.clone(),
        })
    }

    pub(super) fn neg(self) -> Result<Self, Fault> {
        Ok(match self {
            Self::Exact(value) => Self::Exact(-value),
            Self::Pi(times) => Self::Pi(-times),
            Self::Exp(_) => Self::Approx(-self.float()?),
            Self::Approx(value) => Self::Approx(-value),
        })
    }

    pub(super) fn abs(self) -> Result<Self, Fault> {
        if self.is_negative() { self.neg() } else { Ok(self) }
    }

    pub(super) fn add(&self, other: &Self, budget: &mut Budget) -> Result<Self, Fault> {
        match (self, other) {
            (Self::Exact(a), Self::Exact(b)) => {
                budget.spend((bits(a) + bits(b)) * reduction(a, b))?;
                exact(a + b)
            }
            (Self::Pi(a), Self::Pi(b)) => pi(a + b),
            (a, b) if b.is_zero() => Ok(a.clone()),
            (a, b) if a.is_zero() => Ok(b.clone()),
            (a, b) => approx(a.float()? + b.float()?, budget),
        }
    }

    pub(super) fn sub(&self, other: &Self, budget: &mut Budget) -> Result<Self, Fault> {
        self.add(&other.clone().neg()?, budget)
    }

    pub(super) fn mul(&self, other: &Self, budget: &mut Budget) -> Result<Self, Fault> {
        match (self, other) {
            (Self::Exact(a), Self::Exact(b)) => {
                budget.spend((bits(a) + bits(b)) * reduction(a, b))?;
                if bits(a) + bits(b) > MAX_INTEGER_BITS + 2 {
                    return Err(too_large());
                }
                exact(a * b)
            }
            (Self::Exact(a), Self::Pi(b)) | (Self::Pi(b), Self::Exact(a)) => pi(a * b),
            (Self::Exp(a), Self::Exp(b)) => Self::power_of_e(a + b),
            (a, b) if a.is_zero() || b.is_zero() => Ok(Self::zero()),
            (a, b) => approx(a.float()? * b.float()?, budget),
        }
    }

    pub(super) fn div(&self, other: &Self, budget: &mut Budget) -> Result<Self, Fault> {
        if other.is_zero() {
            return Err(Fault::division_by_zero());
        }
        match (self, other) {
            (Self::Exact(a), Self::Exact(b)) => {
                budget.spend((bits(a) + bits(b)) * 4)?;
                if bits(a) + bits(b) > MAX_FRACTION_BITS * 2 {
                    // Reducing numbers of this size takes too long; a division without remainder needs none.
                    return whole_quotient(a, b).ok_or_else(too_large);
                }
                exact(a / b)
            }
            (Self::Pi(a), Self::Pi(b)) => exact(a / b),
            (Self::Pi(a), Self::Exact(b)) => pi(a / b),
            (Self::Exp(a), Self::Exp(b)) => Self::power_of_e(a - b),
            (a, b) => approx(a.float()? / b.float()?, budget),
        }
    }

    /// e to the power of a fraction.
    pub(super) fn power_of_e(power: RBig) -> Result<Self, Fault> {
        if power.is_zero() { Ok(Self::one()) } else { Ok(Self::Exp(power)) }
    }

    pub(super) fn compare(&self, other: &Self) -> Result<Ordering, Fault> {
        match (self, other) {
            (Self::Exact(a), Self::Exact(b)) | (Self::Pi(a), Self::Pi(b)) | (Self::Exp(a), Self::Exp(b)) => Ok(a.cmp(b)),
            (a, b) => Ok(a.float()?.cmp(&b.float()?)),
        }
    }

    pub(super) fn pow(&self, exponent: &Self, budget: &mut Budget) -> Result<Self, Fault> {
        if let Self::Exp(power) = self
            && let Some(exponent) = exponent.exact()
        {
            return Self::power_of_e(power * exponent);
        }
        match (self.exact(), exponent.exact()) {
            (Some(base), Some(exponent)) if exponent.is_int() => integer_power(base, exponent.numerator(), budget),
            (Some(base), Some(exponent)) => rational_power(base, exponent, budget),
            _ => {
                if let Some(whole) = exponent.whole() {
                    let small = i32::try_from(whole).map_err(|_| too_large())?;
                    return approx(self.float()?.powi(IBig::from(small)), budget);
                }
                if self.is_negative() {
                    return Err(Fault::domain("a negative number has no real power with a fraction as exponent"));
                }
                if self.is_zero() {
                    return if exponent.is_negative() { Err(Fault::division_by_zero()) } else { Ok(Self::zero()) };
                }
                float_power(&self.float()?, &exponent.float()?, budget)
            }
        }
    }

    /// The root, exact if there is an exact one.
    pub(super) fn root(&self, degree: usize, budget: &mut Budget) -> Result<Self, Fault> {
        if self.is_negative() && degree.is_multiple_of(2) {
            return Err(Fault::domain("a negative number has no real root of even degree"));
        }
        budget.spend(4096)?;
        if let Some(value) = self.exact() {
            budget.spend(bits(value) * 8)?;
            if let Some(root) = exact_root(value, degree) {
                return Ok(Self::Exact(root));
            }
        }
        let is_negative = self.is_negative();
        let magnitude = self.clone().abs()?.float()?;
        let root = if degree == 2 { magnitude.sqrt() } else { magnitude.nth_root(degree) };
        approx(if is_negative { -root } else { root }, budget)
    }
}

fn whole_quotient(a: &RBig, b: &RBig) -> Option<Real> {
    let (a, b) = (Some(a).filter(|a| a.is_int())?.numerator(), Some(b).filter(|b| b.is_int())?.numerator());
    let (quotient, remainder) = a.div_rem(b);
    remainder.is_zero().then(|| Real::integer(quotient))
}

fn integer_power(base: &RBig, exponent: &IBig, budget: &mut Budget) -> Result<Real, Fault> {
    if base.is_zero() {
        return match exponent.sign() {
            _ if exponent.is_zero() => Ok(Real::one()),
            dashu_base::Sign::Positive => Ok(Real::zero()),
            dashu_base::Sign::Negative => Err(Fault::division_by_zero()),
        };
    }
    if *base == RBig::ONE {
        return Ok(Real::one());
    }
    if *base == -RBig::ONE {
        let is_odd = exponent.bit(0);
        return Ok(Real::Exact(if is_odd { -RBig::ONE } else { RBig::ONE }));
    }
    let small = i32::try_from(exponent).map_err(|_| too_large())?;
    let predicted = bits(base).saturating_mul(small.unsigned_abs() as usize);
    let limit = if base.is_int() { MAX_INTEGER_BITS } else { MAX_FRACTION_BITS };
    if predicted > limit {
        return Err(too_large());
    }
    budget.spend(predicted * 4)?;
    exact(base.pow(small as isize))
}

fn rational_power(base: &RBig, exponent: &RBig, budget: &mut Budget) -> Result<Real, Fault> {
    const MAX_DEGREE: usize = 64;
    let degree = usize::try_from(exponent.denominator()).ok().filter(|degree| *degree <= MAX_DEGREE);
    if let Some(degree) = degree
        && let Ok(root) = Real::Exact(base.clone()).root(degree, budget)
        && (root.exact().is_some() || base.is_negative())
    {
        return root.pow(&Real::Exact(RBig::from(exponent.numerator().clone())), budget);
    }
    if base.is_negative() {
        return Err(Fault::domain("a negative number has no real power with this exponent"));
    }
    if base.is_zero() {
        return if exponent.is_negative() { Err(Fault::division_by_zero()) } else { Ok(Real::zero()) };
    }
    float_power(&to_float(base), &to_float(exponent), budget)
}

fn float_power(base: &Float, exponent: &Float, budget: &mut Budget) -> Result<Real, Fault> {
    budget.spend(8192)?;
    approx(exp(&(base.ln() * exponent))?, budget)
}

/// e to a power, bounded in its magnitude before it is computed.
pub(super) fn exp(power: &Float) -> Result<Float, Fault> {
    let limit = Float::from(MAX_MAGNITUDE * 2);
    if power.clone().abs() > limit {
        return Err(too_large());
    }
    Ok(power.exp())
}

fn exact_root(value: &RBig, degree: usize) -> Option<RBig> {
    let (numerator, denominator) = (value.numerator().clone(), value.denominator().clone());
    let magnitude: UBig = numerator.unsigned_abs();
    let (top, bottom) = (magnitude.nth_root(degree), denominator.nth_root(degree));
    if top.pow(degree) != magnitude || bottom.pow(degree) != denominator {
        return None;
    }
    let root = RBig::from_parts(IBig::from(top), bottom);
    Some(if value.is_negative() { -root } else { root })
}

pub(super) fn to_float(value: &RBig) -> Float {
    value.to_float::<HalfAway, 10>(DIGITS).value()
}

pub(super) fn bits(value: &RBig) -> usize {
    value.numerator().bit_len() + value.denominator().bit_len()
}

/// What reducing the result to lowest terms costs on top.
fn reduction(a: &RBig, b: &RBig) -> usize {
    if a.is_int() && b.is_int() { 1 } else { 16 }
}

pub(super) fn exact(value: RBig) -> Result<Real, Fault> {
    let limit = if value.is_int() { MAX_INTEGER_BITS } else { MAX_FRACTION_BITS };
    if bits(&value) > limit { Err(too_large()) } else { Ok(Real::Exact(value)) }
}

fn pi(times: RBig) -> Result<Real, Fault> {
    if times.is_zero() { Ok(Real::zero()) } else { exact(times.clone()).map(|_| Real::Pi(times)) }
}

/// An approximation, if its magnitude is within bounds. Each costs as much as a few thousand bits.
pub(super) fn approx(value: Float, budget: &mut Budget) -> Result<Real, Fault> {
    budget.spend(1024)?;
    let value = value.with_precision(DIGITS).value();
    if value.repr().is_infinite() {
        return Err(too_large());
    }
    if value.repr().significand().is_zero() {
        return Ok(Real::zero());
    }
    if value.repr().exponent().abs() > MAX_MAGNITUDE {
        return Err(too_large());
    }
    Ok(Real::Approx(value))
}

pub(super) fn too_large() -> Fault {
    Fault::limit("a number on the way is too large to be computed exactly")
}
