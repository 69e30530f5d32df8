//! Tokens to a tree, by precedence (Pratt). The depth is counted, so that no input exhausts the stack; the tree lives in
//! one vector, so that dropping it does not recurse either.

use super::{
    fault::{Class, Fault},
    functions,
    lexer::{Placed, Token},
    units,
};
use dashu_ratio::RBig;

/// How deep brackets, calls and signs may nest.
const MAX_DEPTH: usize = 64;

pub(super) type NodeId = usize;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Number(RBig),
    /// A variable, a constant or a unit: whichever has the name when it is evaluated, in this order.
    Name(String),
    Negate(NodeId),
    Factorial(NodeId),
    Percent(NodeId),
    Degrees(NodeId),
    Binary(&'static str, NodeId, NodeId),
    /// `x as % of y`.
    AsPercentOf(NodeId, NodeId),
    Call(String, Vec<NodeId>),
    Convert(NodeId, Target),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Target {
    /// A product of units with their powers.
    Units(Vec<(String, i32)>),
    /// Another notation: hex, oct, bin, fraction.
    Notation(String),
}

/// Statements: each has a name to assign to, or none.
#[derive(Debug, Default)]
pub(super) struct Program {
    pub(super) nodes: Vec<(Node, usize)>,
    pub(super) statements: Vec<(Option<String>, NodeId)>,
}

pub(super) fn parse(tokens: &[Placed]) -> Result<Program, Fault> {
    if tokens.is_empty() {
        return Err(Fault::new(Class::Empty, "there is no expression"));
    }
    let mut parser = Parser { tokens, at: 0, depth: 0, program: Program::default(), heights: Vec::new() };
    loop {
        while parser.take(";") {}
        if parser.peek().is_none() {
            break;
        }
        let name = parser.assignment();
        let root = parser.expression(0)?;
        parser.program.statements.push((name, root));
        // People write the sign that asks for the result.
        if parser.take("=") && parser.peek().is_some_and(|placed| placed.token != Token::Sign(";")) {
            parser.at -= 1;
            return Err(parser.unexpected());
        }
        if parser.peek().is_some() && !parser.take(";") {
            return Err(parser.unexpected());
        }
    }
    if parser.program.statements.is_empty() {
        return Err(Fault::new(Class::Empty, "there is no expression"));
    }
    Ok(parser.program)
}

struct Parser<'a> {
    tokens: &'a [Placed],
    at: usize,
    depth: usize,
    program: Program,
    /// How deep the evaluation of each node nests.
    heights: Vec<usize>,
}

/// How tightly an infix operator binds to its left and to its right.
fn infix(sign: &str) -> Option<(u8, u8)> {
    Some(match sign {
        "or" => (10, 11),
        "xor" => (12, 13),
        "and" => (14, 15),
        "==" | "!=" | "<" | "<=" | ">" | ">=" => (20, 21),
        "<<" | ">>" => (25, 26),
        "+" | "-" => (30, 31),
        "*" | "/" | "mod" | "%" | "of" => (40, 41),
        // To the right of a power a sign may stand, and powers group from the right.
        "^" => (61, 60),
        _ => return None,
    })
}

const CONVERT: u8 = 5;
const IMPLICIT: u8 = 45;
const PREFIX: u8 = 50;
const ROOT: u8 = 65;
const POSTFIX: u8 = 70;

impl Parser<'_> {
    fn peek(&self) -> Option<&Placed> {
        self.tokens.get(self.at)
    }

    fn token(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead).map(|placed| &placed.token)
    }

    fn is_sign(&self, ahead: usize, sign: &str) -> bool {
        matches!(self.token(ahead), Some(Token::Sign(found)) if *found == sign)
    }

    fn is_name(&self, ahead: usize, name: &str) -> bool {
        matches!(self.token(ahead), Some(Token::Name(found)) if found == name)
    }

    fn take(&mut self, sign: &str) -> bool {
        let is_there = self.is_sign(0, sign);
        self.at += usize::from(is_there);
        is_there
    }

    fn column(&self) -> usize {
        self.peek().or(self.tokens.last()).map_or(1, |placed| placed.column)
    }

    fn unexpected(&self) -> Fault {
        match self.peek() {
            None => Fault::syntax("the expression ends too early").at(self.column()),
            Some(Placed { token: Token::Number(_), column }) => {
                Fault::syntax("a number has no place here: is an operator missing?").at(*column)
            }
            Some(Placed { token: Token::Name(name), column }) => Fault::syntax(format!("{name:?} has no place here")).at(*column),
            Some(Placed { token: Token::Sign(sign), column }) => Fault::syntax(format!("{sign:?} has no place here")).at(*column),
        }
    }

    /// Adds a node, unless evaluating it would nest too deeply. A chain of operators leans to the left and is evaluated in
    /// a loop; everything else nests.
    fn node(&mut self, node: Node, column: usize) -> Result<NodeId, Fault> {
        let height = match &node {
            Node::Number(_) | Node::Name(_) => 0,
            Node::Negate(inner) | Node::Factorial(inner) | Node::Percent(inner) | Node::Degrees(inner) | Node::Convert(inner, _) => {
                self.heights[*inner] + 1
            }
            Node::Binary(_, left, right) => self.heights[*left].max(self.heights[*right] + 1),
            Node::AsPercentOf(part, whole) => self.heights[*part].max(self.heights[*whole]) + 1,
            Node::Call(_, arguments) => arguments.iter().map(|argument| self.heights[*argument] + 1).max().unwrap_or(0),
        };
        if height > MAX_DEPTH {
            return Err(too_deep().at(column));
        }
        self.program.nodes.push((node, column));
        self.heights.push(height);
        Ok(self.program.nodes.len() - 1)
    }

    fn assignment(&mut self) -> Option<String> {
        match (self.token(0), self.token(1), self.token(2)) {
            (Some(Token::Name(name)), Some(Token::Sign("=")), Some(_)) => {
                let name = name.clone();
                self.at += 2;
                Some(name)
            }
            _ => None,
        }
    }

    fn expression(&mut self, least: u8) -> Result<NodeId, Fault> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(too_deep().at(self.column()));
        }
        let mut left = self.prefix()?;
        while let Some(next) = self.continued(left, least)? {
            left = next;
        }
        self.depth -= 1;
        Ok(left)
    }

    fn prefix(&mut self) -> Result<NodeId, Fault> {
        let column = self.column();
        let Some(token) = self.token(0).cloned() else { return Err(self.unexpected()) };
        self.at += 1;
        match token {
            Token::Number(value) => self.node(Node::Number(value), column),
            Token::Name(name) => self.named(name, column),
            Token::Sign("+") => self.expression(PREFIX),
            Token::Sign("-") => {
                let operand = self.expression(PREFIX)?;
                self.node(Node::Negate(operand), column)
            }
            Token::Sign("√") => {
                let operand = self.expression(ROOT)?;
                self.node(Node::Call("sqrt".into(), vec![operand]), column)
            }
            Token::Sign("(") => {
                let inner = self.expression(0)?;
                if !self.take(")") {
                    return Err(self.unexpected_or("a closing bracket is missing"));
                }
                // A bracketed percentage is a plain number: (10%) + 1 adds a tenth to one.
                Ok(inner)
            }
            Token::Sign(_) => {
                self.at -= 1;
                Err(self.unexpected())
            }
        }
    }

    fn unexpected_or(&self, message: &str) -> Fault {
        if self.peek().is_none() { Fault::syntax(message).at(self.column()) } else { self.unexpected() }
    }

    fn named(&mut self, name: String, column: usize) -> Result<NodeId, Fault> {
        if self.is_sign(0, "(")
            && let Some(function) = functions::canonical(&name)
        {
            self.at += 1;
            let arguments = self.arguments()?;
            return self.node(Node::Call(function.into(), arguments), column);
        }
        // Some units have two words.
        if let Some(Token::Name(second)) = self.token(0) {
            let both = format!("{name} {second}");
            if units::find(&both).is_some() {
                self.at += 1;
                return self.node(Node::Name(both), column);
            }
        }
        self.node(Node::Name(name), column)
    }

    fn arguments(&mut self) -> Result<Vec<NodeId>, Fault> {
        let mut arguments = Vec::new();
        if self.take(")") {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.expression(0)?);
            if self.take(")") {
                return Ok(arguments);
            }
            if !self.take(",") {
                return Err(self.unexpected_or("a closing bracket is missing"));
            }
        }
    }

    /// What comes after an operand, if it binds tightly enough; `None` where the operand ends.
    fn continued(&mut self, left: NodeId, least: u8) -> Result<Option<NodeId>, Fault> {
        let column = self.column();
        let Some(token) = self.token(0).cloned() else { return Ok(None) };
        match &token {
            Token::Sign("!") if self.at > 0 && self.tokens[self.at - 1].token == Token::Sign("!") => {
                Err(Fault::syntax("\"!!\" could mean two things: write (5!)! for the factorial of a factorial").at(column))
            }
            Token::Sign("!") if POSTFIX >= least => self.postfix(Node::Factorial(left), column).map(Some),
            Token::Sign("°") if POSTFIX >= least => self.postfix(Node::Degrees(left), column).map(Some),
            Token::Sign("%") if !self.is_modulo() => {
                if POSTFIX >= least {
                    self.postfix(Node::Percent(left), column).map(Some)
                } else {
                    Ok(None)
                }
            }
            Token::Name(name) if matches!(name.as_str(), "to" | "in" | "as") && self.converts() => {
                if CONVERT < least {
                    return Ok(None);
                }
                self.at += 1;
                self.conversion(left, column).map(Some)
            }
            Token::Sign(sign) => self.binary(sign, left, least, column),
            Token::Name(name) if matches!(name.as_str(), "mod" | "of" | "and" | "or" | "xor") => {
                let sign = ["mod", "of", "and", "or", "xor"].into_iter().find(|sign| sign == name).unwrap_or("mod");
                self.binary(sign, left, least, column)
            }
            Token::Name(_) => self.implicit(left, least, column),
            Token::Number(_) if IMPLICIT >= least && self.is_quantity(left) && self.is_unit(1) => {
                // "5 ft 3 in" is one length in two units.
                let rest = self.expression(IMPLICIT)?;
                self.node(Node::Binary("+", left, rest), column).map(Some)
            }
            // Whoever began this operand sees whether the number has a place after it.
            Token::Number(_) if least > 0 => Ok(None),
            Token::Number(_) => Err(self.unexpected()),
        }
    }

    fn is_unit(&self, ahead: usize) -> bool {
        matches!(self.token(ahead), Some(Token::Name(name)) if units::find(name).is_some())
    }

    /// Whether a node is a number with a unit, or a sum of such.
    fn is_quantity(&self, id: NodeId) -> bool {
        match &self.program.nodes[id].0 {
            Node::Binary("*", number, unit) => {
                let is_number = matches!(self.program.nodes[*number].0, Node::Number(_));
                is_number && matches!(&self.program.nodes[*unit].0, Node::Name(name) if units::find(name).is_some())
            }
            Node::Binary("+", _, last) => self.is_quantity(*last),
            _ => false,
        }
    }

    fn postfix(&mut self, node: Node, column: usize) -> Result<NodeId, Fault> {
        self.at += 1;
        self.node(node, column)
    }

    /// Between two operands `%` is the remainder; after one, a percentage.
    fn is_modulo(&self) -> bool {
        match self.token(1) {
            Some(Token::Number(_) | Token::Sign("(" | "√")) => true,
            Some(Token::Name(name)) => !matches!(name.as_str(), "of" | "to" | "in" | "as" | "mod" | "and" | "or" | "xor"),
            _ => false,
        }
    }

    fn binary(&mut self, sign: &'static str, left: NodeId, least: u8, column: usize) -> Result<Option<NodeId>, Fault> {
        if sign == "(" {
            return self.implicit(left, least, column);
        }
        let Some((to_left, to_right)) = infix(sign) else { return Ok(None) };
        if to_left < least {
            return Ok(None);
        }
        self.at += 1;
        let right = self.expression(to_right)?;
        self.node(Node::Binary(sign, left, right), column).map(Some)
    }

    /// `2π`, `2(3+4)`, `5 km`: a product without a sign, which binds more tightly than one with.
    fn implicit(&mut self, left: NodeId, least: u8, column: usize) -> Result<Option<NodeId>, Fault> {
        if IMPLICIT < least {
            return Ok(None);
        }
        let right = self.expression(IMPLICIT + 1)?;
        self.node(Node::Binary("*", left, right), column).map(Some)
    }

    /// Whether a word that could be a unit or a variable (`in`) asks for a conversion here.
    fn converts(&self) -> bool {
        match self.token(0) {
            Some(Token::Name(word)) if word == "as" => self.is_sign(1, "%") && self.is_name(2, "of") || self.is_target(1),
            // In "12 in in cm" the first is the inch.
            Some(Token::Name(word)) if word == "in" => self.is_target(1) && !(self.is_name(1, "in") && self.is_target(2)),
            _ => true,
        }
    }

    fn is_target(&self, ahead: usize) -> bool {
        matches!(self.token(ahead), Some(Token::Name(name)) if units::find(name).is_some() || is_notation(name))
    }

    fn conversion(&mut self, left: NodeId, column: usize) -> Result<NodeId, Fault> {
        if self.is_sign(0, "%") && self.is_name(1, "of") {
            self.at += 2;
            let whole = self.expression(CONVERT + 1)?;
            return self.node(Node::AsPercentOf(left, whole), column);
        }
        let Some(Token::Name(name)) = self.token(0).cloned() else { return Err(self.unexpected_or("a unit is missing")) };
        if is_notation(&name) {
            self.at += 1;
            return self.node(Node::Convert(left, Target::Notation(name)), column);
        }
        let mut product = vec![self.unit_power()?];
        loop {
            let power = match self.token(0) {
                Some(Token::Sign("/")) => -1,
                Some(Token::Sign("*")) => 1,
                _ => break,
            };
            // `180 deg to rad / pi` divides the result: only a unit belongs to the target.
            if !self.is_unit(1) {
                break;
            }
            self.at += 1;
            let (unit, exponent) = self.unit_power()?;
            product.push((unit, exponent * power));
        }
        self.node(Node::Convert(left, Target::Units(product)), column)
    }

    fn unit_power(&mut self) -> Result<(String, i32), Fault> {
        let column = self.column();
        let Some(Token::Name(mut name)) = self.token(0).cloned() else { return Err(self.unexpected_or("a unit is missing")) };
        self.at += 1;
        if let Some(Token::Name(second)) = self.token(0) {
            let both = format!("{name} {second}");
            if units::find(&both).is_some() {
                self.at += 1;
                name = both;
            }
        }
        if units::find(&name).is_none() {
            return Err(Fault::new(Class::UnknownIdentifier, format!("{name:?} is no unit")).at(column));
        }
        let is_negative = self.is_sign(0, "^") && self.is_sign(1, "-");
        let exponent = match self.token(1 + usize::from(is_negative)) {
            Some(Token::Number(value)) if self.is_sign(0, "^") => {
                i32::try_from(value.numerator()).ok().filter(|power| value.is_int() && (1..=9).contains(power))
            }
            _ => return Ok((name, 1)),
        };
        let exponent = exponent.ok_or_else(|| Fault::syntax("the power of a unit is a small whole number").at(column))?;
        self.at += 2 + usize::from(is_negative);
        Ok((name, if is_negative { -exponent } else { exponent }))
    }
}

fn too_deep() -> Fault {
    Fault::limit(format!("nested deeper than {MAX_DEPTH} levels"))
}

fn is_notation(name: &str) -> bool {
    matches!(name, "hex" | "hexadecimal" | "oct" | "octal" | "bin" | "binary" | "fraction" | "decimal" | "scientific")
}
