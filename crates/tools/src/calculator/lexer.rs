//! Text to tokens, in the many ways in which people write numbers and signs.

use super::fault::Fault;
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

/// The longest expression, in bytes.
const MAX_BYTES: usize = 10_000;
/// The most tokens.
const MAX_TOKENS: usize = 2_000;
/// The largest exponent of a literal.
const MAX_EXPONENT: i64 = 10_000;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Number(RBig),
    Name(String),
    /// An operator or bracket, in its plain form.
    Sign(&'static str),
}

#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) token: Token,
    /// From 1, in characters.
    pub(super) column: usize,
}

/// Signs, the longer ones first. The second form is the plain one.
const SIGNS: &[(&str, &str)] = &[
    ("**", "^"),
    ("<<", "<<"),
    (">>", ">>"),
    ("==", "=="),
    ("!=", "!="),
    ("<=", "<="),
    (">=", ">="),
    ("≤", "<="),
    ("≥", ">="),
    ("≠", "!="),
    ("+", "+"),
    ("-", "-"),
    ("−", "-"),
    ("–", "-"),
    ("*", "*"),
    ("×", "*"),
    ("·", "*"),
    ("⋅", "*"),
    ("/", "/"),
    ("÷", "/"),
    ("∕", "/"),
    ("^", "^"),
    ("!", "!"),
    ("%", "%"),
    ("°", "°"),
    ("√", "√"),
    ("(", "("),
    (")", ")"),
    (",", ","),
    (";", ";"),
    ("=", "="),
    ("<", "<"),
    (">", ">"),
];

const SUPERSCRIPTS: &str = "⁰¹²³⁴⁵⁶⁷⁸⁹";

pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, Fault> {
    if text.len() > MAX_BYTES {
        return Err(Fault::limit(format!("the expression has {} bytes, {MAX_BYTES} are allowed", text.len())));
    }
    let characters: Vec<char> = text.chars().map(plain).collect();
    let mut lexer = Lexer { characters: &characters, at: 0, tokens: Vec::new(), brackets: Vec::new() };
    while lexer.skip_blanks() {
        lexer.token()?;
        if lexer.tokens.len() > MAX_TOKENS {
            return Err(Fault::limit(format!("the expression has more than {MAX_TOKENS} parts")));
        }
    }
    Ok(lexer.tokens)
}

/// Full-width forms mean the plain ones.
fn plain(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        _ => c,
    }
}

struct Lexer<'a> {
    characters: &'a [char],
    at: usize,
    tokens: Vec<Placed>,
    /// For each open bracket, whether it holds the arguments of a function: there a comma separates.
    brackets: Vec<bool>,
}

impl Lexer<'_> {
    fn skip_blanks(&mut self) -> bool {
        while self.peek(0).is_some_and(char::is_whitespace) {
            self.at += 1;
        }
        self.peek(0).is_some()
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.characters.get(self.at + ahead).copied()
    }

    fn push(&mut self, token: Token, column: usize) {
        self.tokens.push(Placed { token, column });
    }

    fn token(&mut self) -> Result<(), Fault> {
        let column = self.at + 1;
        let Some(c) = self.peek(0) else { return Ok(()) };
        if c.is_ascii_digit() || (c == '.' && self.peek(1).is_some_and(|next| next.is_ascii_digit())) {
            let number = self.number().map_err(|fault| fault.at(column))?;
            self.push(Token::Number(number), column);
            return Ok(());
        }
        if let Some(power) = self.superscripts() {
            self.push(Token::Sign("^"), column);
            self.push(Token::Number(power), column);
            return Ok(());
        }
        if is_name_start(c) {
            let start = self.at;
            while self.peek(0).is_some_and(|c| is_name_start(c) || c.is_ascii_digit()) {
                self.at += 1;
            }
            self.push(Token::Name(self.characters[start..self.at].iter().collect()), column);
            return Ok(());
        }
        let rest = &self.characters[self.at..];
        let found = SIGNS.iter().find(|(written, _)| written.chars().eq(rest.iter().copied().take(written.chars().count())));
        let Some((written, sign)) = found else {
            return Err(Fault::syntax(format!("{c:?} has no meaning here")).at(column));
        };
        self.at += written.chars().count();
        match *sign {
            "(" => self.brackets.push(matches!(self.tokens.last(), Some(Placed { token: Token::Name(_), .. }))),
            ")" => {
                self.brackets.pop();
            }
            _ => {}
        }
        self.push(Token::Sign(sign), column);
        Ok(())
    }

    fn superscripts(&mut self) -> Option<RBig> {
        let start = self.at;
        let mut value = IBig::ZERO;
        while let Some(digit) = self.peek(0).and_then(|c| SUPERSCRIPTS.chars().position(|digit| digit == c)) {
            value = value * IBig::from(10) + IBig::from(digit);
            self.at += 1;
        }
        (self.at > start).then(|| RBig::from(value))
    }

    fn number(&mut self) -> Result<RBig, Fault> {
        if self.peek(0) == Some('0')
            && let Some(radix) = self.peek(1).and_then(|c| match c.to_ascii_lowercase() {
                'x' => Some(16),
                'o' => Some(8),
                'b' => Some(2),
                _ => None,
            })
            && self.peek(2).is_some_and(|c| c.is_ascii_alphanumeric())
        {
            return self.in_radix(radix);
        }
        let mut digits = self.digits();
        self.thousands(&mut digits);
        let mut scale: i64 = 0;
        if self.peek(0) == Some('.') && !matches!(self.peek(1), Some('.')) {
            self.at += 1;
            let fraction = self.digits();
            scale = -i64::try_from(fraction.len()).unwrap_or(i64::MAX);
            digits.push_str(&fraction);
        }
        scale = scale.saturating_add(self.exponent()?);
        if self.peek(0) == Some('.') {
            return Err(Fault::syntax("a number has one decimal point"));
        }
        let significand: IBig = digits.parse().map_err(|_| Fault::syntax("a number needs digits"))?;
        let power = UBig::from(10_u8).pow(usize::try_from(scale.unsigned_abs()).unwrap_or(usize::MAX));
        Ok(if scale >= 0 { RBig::from(significand * IBig::from(power)) } else { RBig::from_parts(significand, power) })
    }

    fn digits(&mut self) -> String {
        let start = self.at;
        while self.peek(0).is_some_and(|c| c.is_ascii_digit() || (c == '_' && self.peek(1).is_some_and(|next| next.is_ascii_digit()))) {
            self.at += 1;
        }
        self.characters[start..self.at].iter().filter(|c| **c != '_').collect()
    }

    /// `1,000` outside the arguments of a function: groups of three digits after one to three.
    fn thousands(&mut self, digits: &mut String) {
        let is_group = |lexer: &Self| {
            lexer.peek(0) == Some(',')
                && (1..=3).all(|ahead| lexer.peek(ahead).is_some_and(|c| c.is_ascii_digit()))
                && !lexer.peek(4).is_some_and(|c| c.is_ascii_digit())
        };
        if self.brackets.last() == Some(&true) || digits.is_empty() || digits.len() > 3 {
            return;
        }
        while is_group(self) {
            digits.extend(&self.characters[self.at + 1..self.at + 4]);
            self.at += 4;
        }
    }

    fn exponent(&mut self) -> Result<i64, Fault> {
        let sign = usize::from(matches!(self.peek(1), Some('+' | '-')));
        if !matches!(self.peek(0), Some('e' | 'E')) || !self.peek(1 + sign).is_some_and(|c| c.is_ascii_digit()) {
            return Ok(0);
        }
        let is_negative = self.peek(1) == Some('-');
        self.at += 1 + sign;
        let digits = self.digits();
        let exponent = digits.parse::<i64>().ok().filter(|exponent| *exponent <= MAX_EXPONENT);
        let exponent = exponent.ok_or_else(|| Fault::limit(format!("the exponent of a number may be {MAX_EXPONENT} at most")))?;
        Ok(if is_negative { -exponent } else { exponent })
    }

    fn in_radix(&mut self, radix: u32) -> Result<RBig, Fault> {
        self.at += 2;
        let start = self.at;
        while self.peek(0).is_some_and(|c| c.is_ascii_alphanumeric()) {
            self.at += 1;
        }
        let digits: String = self.characters[start..self.at].iter().collect();
        let value = UBig::from_str_radix(&digits, radix).map_err(|_| Fault::syntax(format!("{digits:?} is no number in base {radix}")))?;
        Ok(RBig::from(IBig::from(value)))
    }
}

fn is_name_start(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '_' | 'µ' | 'π' | 'τ')
}
