//! Walks the tree.

use super::{
    fault::{Class, Fault},
    functions::{self, e_to, ln, modulo},
    parser::{Node, NodeId, Program, Target},
    real::{Budget, Real},
    units::{self, Dimension, NONE},
};
use dashu_base::{Signed, UnsignedAbs};
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;
use std::{cmp::Ordering, collections::BTreeMap};

/// How angles are given and wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Angle {
    /// Radians.
    #[default]
    Rad,
    /// Degrees.
    Deg,
    /// Gradians.
    Grad,
}

impl Angle {
    fn half_turn(self) -> Option<IBig> {
        match self {
            Self::Rad => None,
            Self::Deg => Some(IBig::from(180)),
            Self::Grad => Some(IBig::from(200)),
        }
    }

    pub(super) fn in_radians(self, value: &Real, budget: &mut Budget) -> Result<Real, Fault> {
        match (self.half_turn(), value) {
            // What has a degree sign, or is a multiple of π, is in radians already.
            (None, _) | (_, Real::Pi(_)) => Ok(value.clone()),
            (Some(half), value) => value.mul(&Real::Pi(RBig::from_parts(IBig::ONE, half.unsigned_abs())), budget),
        }
    }

    pub(super) fn in_own_measure(self, value: &Real, budget: &mut Budget) -> Result<Real, Fault> {
        match self.half_turn() {
            None => Ok(value.clone()),
            Some(half) => value.div(&Real::Pi(RBig::from_parts(IBig::ONE, half.unsigned_abs())), budget),
        }
    }
}

/// A value: a number, perhaps complex, perhaps with a unit.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) re: Real,
    pub(super) im: Option<Real>,
    pub(super) dimension: Dimension,
    pub(super) shown: Shown,
}

/// How a value wants to be shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Shown {
    /// In base units.
    #[default]
    Plain,
    /// The number is in this unit, which the value was converted to.
    In(String),
    /// In another notation.
    Notation(String),
}

impl Value {
    pub(super) fn plain(re: Real) -> Self {
        Self { re, im: None, dimension: NONE, shown: Shown::Plain }
    }

    fn complex(re: Real, im: Real) -> Self {
        Self { im: Some(im), ..Self::plain(re) }
    }

    fn with(re: Real, dimension: Dimension) -> Self {
        Self { dimension, ..Self::plain(re) }
    }

    /// The number of a value that has neither a unit nor an imaginary part.
    fn number(&self, place: &str) -> Result<&Real, Fault> {
        if self.dimension != NONE {
            return Err(Fault::new(
                Class::UnitMismatch,
                format!("{place} needs a plain number, not one in {}", units::written(&self.dimension)),
            ));
        }
        match &self.im {
            Some(im) if !im.is_zero() => Err(Fault::domain(format!("{place} needs a real number"))),
            _ => Ok(&self.re),
        }
    }

    fn imaginary(&self) -> Real {
        self.im.clone().unwrap_or_else(Real::zero)
    }
}

/// What an evaluation is given besides the program.
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub(super) variables: BTreeMap<String, Value>,
    pub(super) angle: Angle,
    pub(super) is_complex: bool,
}

pub(super) fn run(program: &Program, scope: Scope) -> Result<Value, Fault> {
    let mut evaluator = Evaluator { program, scope, budget: Budget::new() };
    let mut last = Value::plain(Real::zero());
    for (name, root) in &program.statements {
        last = evaluator.value(*root)?;
        if let Some(name) = name {
            evaluator.scope.variables.insert(name.clone(), last.clone());
        }
    }
    Ok(last)
}

struct Evaluator<'a> {
    program: &'a Program,
    scope: Scope,
    budget: Budget,
}

impl Evaluator<'_> {
    /// A long chain of operators leans to the left, and would exhaust the stack: it is walked in a loop.
    fn value(&mut self, root: NodeId) -> Result<Value, Fault> {
        let mut spine = vec![root];
        let mut id = root;
        while let Node::Binary(_, left, _) = &self.program.nodes[id].0 {
            id = *left;
            spine.push(id);
        }
        let mut value = None;
        for id in spine.into_iter().rev() {
            let (node, column) = &self.program.nodes[id];
            let next = match (value.take(), node) {
                (Some(left), Node::Binary(sign, left_id, right)) => self.binary(sign, &left, *left_id, *right),
                (_, node) => self.operand(node),
            };
            value = Some(next.map_err(|fault| fault.at(*column))?);
        }
        value.ok_or_else(|| Fault::syntax("there is nothing to evaluate"))
    }

    fn operand(&mut self, node: &Node) -> Result<Value, Fault> {
        self.budget.spend(0)?;
        match node {
            Node::Number(value) => Ok(Value::plain(Real::Exact(value.clone()))),
            Node::Name(name) => self.named(name),
            Node::Negate(operand) => {
                let value = self.value(*operand)?;
                let im = value.im.map(Real::neg).transpose()?;
                Ok(Value { re: value.re.neg()?, im, ..value })
            }
            Node::Factorial(operand) => {
                let value = self.value(*operand)?;
                functions::factorial(value.number("a factorial")?, &mut self.budget).map(Value::plain)
            }
            Node::Percent(operand) => {
                let value = self.value(*operand)?;
                value.number("a percentage")?.div(&Real::integer(100), &mut self.budget).map(Value::plain)
            }
            Node::Degrees(operand) => {
                let value = self.value(*operand)?;
                let degree = Real::Pi(RBig::from_parts(IBig::ONE, UBig::from(180_u8)));
                value.number("an angle")?.mul(&degree, &mut self.budget).map(Value::plain)
            }
            Node::AsPercentOf(part, whole) => {
                let (part, whole) = (self.value(*part)?, self.value(*whole)?);
                let share = self.divide(&part, &whole)?;
                let percent = share.number("a percentage")?.mul(&Real::integer(100), &mut self.budget)?;
                Ok(Value { shown: Shown::In("%".into()), ..Value::plain(percent) })
            }
            Node::Call(name, arguments) => self.call(name, arguments),
            Node::Convert(operand, target) => {
                let value = self.value(*operand)?;
                self.convert(value, target)
            }
            Node::Binary(sign, left, right) => {
                let value = self.value(*left)?;
                self.binary(sign, &value, *left, *right)
            }
        }
    }

    fn named(&mut self, name: &str) -> Result<Value, Fault> {
        if let Some(value) = self.scope.variables.get(name) {
            return Ok(value.clone());
        }
        match name {
            "pi" | "π" | "PI" => return Ok(Value::plain(Real::Pi(RBig::ONE))),
            "tau" | "τ" => return Ok(Value::plain(Real::Pi(RBig::from(IBig::from(2))))),
            "e" => return Ok(Value::plain(Real::Exp(RBig::ONE))),
            "phi" => {
                let root = Real::integer(5).root(2, &mut self.budget)?;
                return root.add(&Real::one(), &mut self.budget)?.div(&Real::integer(2), &mut self.budget).map(Value::plain);
            }
            "true" => return Ok(Value::plain(Real::one())),
            "false" => return Ok(Value::plain(Real::zero())),
            "i" if self.scope.is_complex => return Ok(Value::complex(Real::zero(), Real::one())),
            _ => {}
        }
        if let Some(unit) = units::find(name) {
            let value = match unit.offset {
                Some(offset) => unit.factor.add(&Real::Exact(offset), &mut self.budget)?,
                None => unit.factor,
            };
            return Ok(Value::with(value, unit.dimension));
        }
        let hint = match name {
            "i" => "; complex numbers need the option complex".to_owned(),
            _ => functions::nearest(name).map(|near| format!("; did you mean {near}?")).unwrap_or_default(),
        };
        Err(Fault::new(Class::UnknownIdentifier, format!("{name:?} is neither a variable, nor a constant, nor a unit{hint}")))
    }

    fn binary(&mut self, sign: &str, left: &Value, left_id: NodeId, right_id: NodeId) -> Result<Value, Fault> {
        let right = self.value(right_id)?;
        let is_percent = |id: NodeId| matches!(self.program.nodes[id].0, Node::Percent(_));
        // 200 + 10 % means ten percent of the two hundred; 10 % + 5 % are fifteen.
        if matches!(sign, "+" | "-") && is_percent(right_id) && !is_percent(left_id) {
            let share = self.multiply(left, &right)?;
            return self.sum(left, &share, sign == "-");
        }
        match sign {
            "+" => self.sum(left, &right, false),
            "-" => self.sum(left, &right, true),
            "*" | "of" => match self.on_scale(left, right_id)? {
                Some(value) => Ok(value),
                None => self.multiply(left, &right),
            },
            "/" => self.divide(left, &right),
            "^" => self.power(left, &right),
            "mod" | "%" => modulo(left.number("mod")?, right.number("mod")?, &mut self.budget).map(Value::plain),
            "==" | "!=" | "<" | "<=" | ">" | ">=" => compare(sign, left, &right),
            _ => bitwise(sign, left.number(sign)?, right.number(sign)?, &mut self.budget).map(Value::plain),
        }
    }

    /// A number beside a unit whose scale begins elsewhere: 20 degC is a point on the scale, not 20 times one degree.
    fn on_scale(&mut self, number: &Value, unit_id: NodeId) -> Result<Option<Value>, Fault> {
        let Node::Name(name) = &self.program.nodes[unit_id].0 else { return Ok(None) };
        let Some(unit) = units::find(name).filter(|_| !self.scope.variables.contains_key(name)) else { return Ok(None) };
        let Some(offset) = unit.offset else { return Ok(None) };
        let scaled = number.number("a temperature")?.mul(&unit.factor, &mut self.budget)?;
        Ok(Some(Value::with(scaled.add(&Real::Exact(offset), &mut self.budget)?, unit.dimension)))
    }

    fn sum(&mut self, left: &Value, right: &Value, is_difference: bool) -> Result<Value, Fault> {
        same_dimension(left, right)?;
        let budget = &mut self.budget;
        let mut join = |a: &Real, b: &Real| if is_difference { a.sub(b, budget) } else { a.add(b, budget) };
        let re = join(&left.re, &right.re)?;
        let im = match (&left.im, &right.im) {
            (None, None) => None,
            _ => Some(join(&left.imaginary(), &right.imaginary())?),
        };
        Ok(Value { re, im, dimension: left.dimension, shown: Shown::Plain })
    }

    fn multiply(&mut self, left: &Value, right: &Value) -> Result<Value, Fault> {
        let dimension = combined(&left.dimension, &right.dimension, 1)?;
        let budget = &mut self.budget;
        if left.im.is_none() && right.im.is_none() {
            return Ok(Value::with(left.re.mul(&right.re, budget)?, dimension));
        }
        let (a, b, c, d) = (&left.re, &left.imaginary(), &right.re, &right.imaginary());
        let re = a.mul(c, budget)?.sub(&b.mul(d, budget)?, budget)?;
        let im = a.mul(d, budget)?.add(&b.mul(c, budget)?, budget)?;
        Ok(Value { dimension, ..Value::complex(re, im) })
    }

    fn divide(&mut self, left: &Value, right: &Value) -> Result<Value, Fault> {
        let dimension = combined(&left.dimension, &right.dimension, -1)?;
        if left.im.is_none() && right.im.is_none() {
            return Ok(Value::with(left.re.div(&right.re, &mut self.budget)?, dimension));
        }
        let conjugate = Value { im: Some(right.imaginary().neg()?), ..right.clone() };
        let top = self.multiply(left, &conjugate)?;
        let bottom = self.multiply(right, &conjugate)?.re;
        let im = top.imaginary().div(&bottom, &mut self.budget)?;
        Ok(Value { dimension, ..Value::complex(top.re.div(&bottom, &mut self.budget)?, im) })
    }

    fn power(&mut self, base: &Value, exponent: &Value) -> Result<Value, Fault> {
        if base.im.is_some() || exponent.im.is_some() {
            return self.complex_power(base, exponent);
        }
        let power = exponent.number("an exponent")?;
        if base.dimension == NONE {
            return base.re.pow(power, &mut self.budget).map(Value::plain);
        }
        let mismatch = || Fault::new(Class::UnitMismatch, "this power of a unit is no unit");
        let fraction = power.exact().ok_or_else(mismatch)?;
        let mut dimension = NONE;
        for (slot, of) in dimension.iter_mut().zip(base.dimension) {
            let scaled = fraction * RBig::from(IBig::from(of));
            *slot = i8::try_from(scaled.numerator()).ok().filter(|_| scaled.is_int()).ok_or_else(mismatch)?;
        }
        Ok(Value::with(base.re.pow(power, &mut self.budget)?, dimension))
    }

    fn complex_power(&mut self, base: &Value, exponent: &Value) -> Result<Value, Fault> {
        const MAX_STEPS: u32 = 1_000;
        if exponent.im.is_none()
            && let Some(steps) = exponent.re.whole().and_then(|whole| u32::try_from(whole).ok()).filter(|steps| *steps <= MAX_STEPS)
        {
            let one = Value::plain(Real::one());
            return (0..steps).try_fold(one, |product, _| self.multiply(&product, base));
        }
        if let Real::Exp(power) = &base.re
            && base.im.is_none()
        {
            let exponent = self.multiply(exponent, &Value::plain(Real::Exact(power.clone())))?;
            return self.complex_exp(&exponent);
        }
        let logarithm = self.complex_ln(base)?;
        let exponent = self.multiply(&logarithm, exponent)?;
        self.complex_exp(&exponent)
    }

    fn complex_exp(&mut self, power: &Value) -> Result<Value, Fault> {
        let budget = &mut self.budget;
        let size = e_to(&power.re, budget)?;
        let angle = [power.imaginary()];
        let re = size.mul(&functions::apply("cos", &angle, Angle::Rad, budget)?, budget)?;
        let im = size.mul(&functions::apply("sin", &angle, Angle::Rad, budget)?, budget)?;
        Ok(Value::complex(re, im))
    }

    fn complex_ln(&mut self, value: &Value) -> Result<Value, Fault> {
        let budget = &mut self.budget;
        let size = functions::apply("hypot", &[value.re.clone(), value.imaginary()], Angle::Rad, budget)?;
        let angle = functions::apply("atan2", &[value.imaginary(), value.re.clone()], Angle::Rad, budget)?;
        Ok(Value::complex(ln(&size, budget)?, angle))
    }

    fn call(&mut self, name: &str, arguments: &[NodeId]) -> Result<Value, Fault> {
        functions::check_arity(name, arguments.len())?;
        if name == "if" {
            let condition = self.value(arguments[0])?;
            return self.value(arguments[if condition.number("a condition")?.is_zero() { 2 } else { 1 }]);
        }
        let values = arguments.iter().map(|argument| self.value(*argument)).collect::<Result<Vec<_>, _>>()?;
        if values.iter().any(|value| value.im.is_some()) {
            return self.complex_call(name, &values);
        }
        if name == "sqrt" || name == "cbrt" {
            let degree = RBig::from_parts(IBig::ONE, UBig::from(if name == "sqrt" { 2_u8 } else { 3 }));
            if values[0].dimension != NONE {
                return self.power(&values[0], &Value::plain(Real::Exact(degree)));
            }
            if self.scope.is_complex && name == "sqrt" && values[0].re.is_negative() {
                return Ok(Value::complex(Real::zero(), values[0].re.clone().abs()?.root(2, &mut self.budget)?));
            }
        }
        let dimension = shared_dimension(name, &values)?;
        let numbers: Vec<Real> = values.into_iter().map(|value| value.re).collect();
        functions::apply(name, &numbers, self.scope.angle, &mut self.budget).map(|re| Value::with(re, dimension))
    }

    fn complex_call(&mut self, name: &str, values: &[Value]) -> Result<Value, Fault> {
        let value = &values[0];
        match name {
            "re" => Ok(Value::plain(value.re.clone())),
            "im" => Ok(Value::plain(value.imaginary())),
            "conj" => Ok(Value::complex(value.re.clone(), value.imaginary().neg()?)),
            "abs" => functions::apply("hypot", &[value.re.clone(), value.imaginary()], Angle::Rad, &mut self.budget).map(Value::plain),
            "arg" => {
                functions::apply("atan2", &[value.imaginary(), value.re.clone()], self.scope.angle, &mut self.budget).map(Value::plain)
            }
            "exp" => self.complex_exp(value),
            "ln" => self.complex_ln(value),
            "sqrt" => self.complex_power(value, &Value::plain(Real::Exact(RBig::from_parts(IBig::ONE, UBig::from(2_u8))))),
            _ => Err(Fault::domain(format!("{name} is not defined here for complex numbers"))),
        }
    }

    fn convert(&mut self, value: Value, target: &Target) -> Result<Value, Fault> {
        let product = match target {
            Target::Notation(notation) => return Ok(Value { shown: Shown::Notation(notation.clone()), ..value }),
            Target::Units(product) => product,
        };
        let (mut factor, mut dimension, mut offset) = (Real::one(), NONE, None);
        for (name, power) in product {
            let unit = units::find(name).ok_or_else(|| Fault::new(Class::UnknownIdentifier, format!("{name:?} is no unit")))?;
            factor = factor.mul(&unit.factor.pow(&Real::integer(*power), &mut self.budget)?, &mut self.budget)?;
            let powers = unit.dimension.map(|of| of.saturating_mul(i8::try_from(*power).unwrap_or(i8::MAX)));
            dimension = combined(&dimension, &powers, 1)?;
            offset = unit.offset.filter(|_| product.len() == 1 && *power == 1);
        }
        same_dimension(&value, &Value::with(Real::zero(), dimension))?;
        let shifted = match offset {
            Some(offset) => value.re.sub(&Real::Exact(offset), &mut self.budget)?,
            None => value.re,
        };
        let number = shifted.div(&factor, &mut self.budget)?;
        let name = units_written(product);
        Ok(Value { shown: Shown::In(name), dimension: NONE, ..Value::plain(number) })
    }
}

fn units_written(product: &[(String, i32)]) -> String {
    let mut text = String::new();
    for (index, (name, power)) in product.iter().enumerate() {
        match (index, *power < 0) {
            (0, false) => {}
            (0, true) => text.push_str("1/"),
            (_, false) => text.push('*'),
            (_, true) => text.push('/'),
        }
        text.push_str(name);
        if power.abs() != 1 {
            text.push_str(&format!("^{}", power.abs()));
        }
    }
    text
}

fn same_dimension(left: &Value, right: &Value) -> Result<(), Fault> {
    if left.dimension == right.dimension {
        return Ok(());
    }
    let kind = |dimension: &Dimension| if *dimension == NONE { "a plain number".to_owned() } else { units::written(dimension) };
    Err(Fault::new(Class::UnitMismatch, format!("{} and {} do not go together", kind(&left.dimension), kind(&right.dimension))))
}

fn combined(left: &Dimension, right: &Dimension, sign: i8) -> Result<Dimension, Fault> {
    let mut dimension = NONE;
    for ((slot, a), b) in dimension.iter_mut().zip(left).zip(right) {
        *slot = b.checked_mul(sign).and_then(|b| a.checked_add(b)).ok_or_else(|| Fault::limit("the power of a unit is too large"))?;
    }
    Ok(dimension)
}

/// The unit of a result: functions that pick or add keep the unit that all their arguments share; others take none.
fn shared_dimension(name: &str, values: &[Value]) -> Result<Dimension, Fault> {
    let dimension = values[0].dimension;
    let keeps = matches!(name, "abs" | "min" | "max" | "sum" | "mean" | "avg" | "median" | "hypot" | "stdev" | "re");
    if keeps {
        values[1..].iter().try_for_each(|value| same_dimension(&values[0], value))?;
        return Ok(dimension);
    }
    values.iter().try_for_each(|value| value.number(name).map(|_| ()))?;
    Ok(NONE)
}

fn compare(sign: &str, left: &Value, right: &Value) -> Result<Value, Fault> {
    same_dimension(left, right)?;
    let order = left.re.compare(&right.re)?;
    let order = if left.im.is_some() || right.im.is_some() {
        match (sign, order, left.imaginary().compare(&right.imaginary())?) {
            ("==" | "!=", Ordering::Equal, Ordering::Equal) => Ordering::Equal,
            ("==" | "!=", ..) => Ordering::Less,
            _ => return Err(Fault::domain("complex numbers have no order")),
        }
    } else {
        order
    };
    Ok(Value::plain(Real::truth(match sign {
        "==" => order == Ordering::Equal,
        "!=" => order != Ordering::Equal,
        "<" => order == Ordering::Less,
        "<=" => order != Ordering::Greater,
        ">" => order == Ordering::Greater,
        _ => order != Ordering::Less,
    })))
}

fn bitwise(sign: &str, left: &Real, right: &Real, budget: &mut Budget) -> Result<Real, Fault> {
    let whole = |value: &Real| value.whole().cloned().ok_or_else(|| Fault::domain(format!("{sign} needs whole numbers")));
    let (left, right) = (whole(left)?, whole(right)?);
    if matches!(sign, "<<" | ">>") {
        if right.is_negative() {
            return Err(Fault::domain("a shift needs a distance that is not negative"));
        }
        let power = Real::integer(2).pow(&Real::integer(right), budget);
        return match (sign, power) {
            ("<<", power) => Real::integer(left).mul(&power?, budget),
            // Beyond all bits nothing is left but the sign.
            (_, Err(_)) => Ok(Real::integer(if left.is_negative() { -1 } else { 0 })),
            (_, Ok(power)) => functions::apply("floor", &[Real::integer(left).div(&power, budget)?], Angle::Rad, budget),
        };
    }
    budget.spend(64)?;
    Ok(Real::integer(match sign {
        "and" => left & right,
        "or" => left | right,
        _ => left ^ right,
    }))
}
