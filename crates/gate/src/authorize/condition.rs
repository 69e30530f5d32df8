//! Conditions on arguments and claims, in CEL (the Common Expression Language, cel.dev).
//!
//! A condition is checked when it is read: every variable and function must be known, the types of what is compared must
//! go together, and what comes out must be true or false. CEL ends always; that it also ends soon is seen to here: what
//! runs over a list of the caller's may not look at the arguments again.

use cel::{
    Context, Env, IdedExpr, Program, Value,
    common::ast::{CallExpr, Expr, LiteralValue, operators},
    objects::Key,
};
use serde_json::Value as JsonValue;
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, LazyLock},
};

/// The standard functions and macros; made once, since it is large.
static STANDARD: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// The longest condition.
const MAX_BYTES: usize = 4096;

/// What conditions can speak of.
const VARIABLES: [&str; 4] = ["args", "claims", "caller", "call"];
/// What is known of a caller, and of a call.
const CALLER: [(&str, Kind); 3] = [("subject", Kind::Text), ("authority", Kind::Text), ("roles", Kind::List)];
const CALL: [(&str, Kind); 3] = [("name", Kind::Text), ("door", Kind::Text), ("address", Kind::Text)];

/// The functions that can be used: the kinds of their operands, the receiver first, and of what they give.
const FUNCTIONS: [(&str, &[Kind], Kind); 9] = [
    ("size", &[Kind::Any], Kind::Number),
    ("contains", &[Kind::Text, Kind::Text], Kind::Bool),
    ("startsWith", &[Kind::Text, Kind::Text], Kind::Bool),
    ("endsWith", &[Kind::Text, Kind::Text], Kind::Bool),
    ("matches", &[Kind::Text, Kind::Text], Kind::Bool),
    ("string", &[Kind::Any], Kind::Text),
    ("int", &[Kind::Any], Kind::Number),
    ("double", &[Kind::Any], Kind::Number),
    (operators::NOT_STRICTLY_FALSE, &[Kind::Any], Kind::Bool),
];

/// A condition that was read and checked.
#[derive(Clone)]
pub struct Condition {
    text: Box<str>,
    /// The parts that must all hold, and whether each looks at the arguments.
    parts: Arc<[Part]>,
}

#[derive(Debug)]
struct Part {
    expression: IdedExpr,
    /// The variables that it speaks of.
    speaks_of: Vec<&'static str>,
}

impl Part {
    fn needs_arguments(&self) -> bool {
        self.speaks_of.contains(&"args")
    }
}

/// What a condition is judged on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) claims: &'a serde_json::Map<String, JsonValue>,
    pub(crate) caller: &'a toolcrib_contract::CallerId,
    pub(crate) name: &'a str,
    pub(crate) door: &'a str,
    pub(crate) address: Option<std::net::IpAddr>,
}

impl Facts<'_> {
    fn value_of(self, variable: &str, arguments: Option<&JsonValue>) -> Value {
        match variable {
            "args" => arguments.map_or(Value::Null, value),
            "claims" => map(self.claims),
            "caller" => record([
                ("subject", text_value(&self.caller.subject)),
                ("authority", text_value(&self.caller.authority)),
                ("roles", Value::List(Arc::new(self.caller.roles.iter().map(|role| text_value(role)).collect()))),
            ]),
            _ => {
                let address = self.address.map(|address| address.to_string()).unwrap_or_default();
                record([("name", text_value(self.name)), ("door", text_value(self.door)), ("address", text_value(&address))])
            }
        }
    }
}

/// The kind of a value, as far as it is known before it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Any,
    Bool,
    Number,
    Text,
    List,
    Map,
    Null,
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Condition {
    /// Reads a condition, such as `args.method == "GET" && claims.team == args.project`.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("a condition may have {MAX_BYTES} bytes, this one has {}", text.len()));
        }
        let program = Program::compile(text).map_err(|errors| not_cel(text, &errors.to_string()))?;
        let expression = program.expression();
        Checker::default().check_whole(expression)?;
        let mut parts = Vec::new();
        split(expression, &mut parts);
        Ok(Self { text: text.into(), parts: parts.into() })
    }

    /// The condition as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Checks what the condition says of arguments against the schema of a tool that it is for.
    ///
    /// # Errors
    /// What does not fit, in a sentence.
    pub fn fits(&self, schema: &JsonValue) -> Result<(), String> {
        let checker = Checker { schema: Some(schema), ..Checker::default() };
        self.parts.iter().try_for_each(|part| checker.check_whole(&part.expression))
    }

    /// Whether any of it looks at the arguments.
    pub(crate) fn needs_arguments(&self) -> bool {
        self.speaks_of("args")
    }

    /// Whether any of it looks at this variable.
    pub(crate) fn speaks_of(&self, variable: &str) -> bool {
        self.parts.iter().any(|part| part.speaks_of.contains(&variable))
    }

    /// Whether it holds. Without arguments, those parts are judged that do not look at them.
    ///
    /// # Errors
    /// Why it cannot be judged, as where it speaks of an argument that is not there.
    pub(crate) fn holds(&self, facts: Facts<'_>, arguments: Option<&JsonValue>) -> Result<bool, String> {
        let judged = || self.parts.iter().filter(|part| arguments.is_some() || !part.needs_arguments());
        let mut context = Context::with_env(Arc::clone(&STANDARD));
        // Only what is spoken of is worth being brought along.
        for variable in VARIABLES.into_iter().filter(|variable| judged().any(|part| part.speaks_of.contains(variable))) {
            context.add_variable_from_value(variable, facts.value_of(variable, arguments));
        }
        for part in judged() {
            match Value::resolve(&part.expression, &context) {
                Ok(Value::Bool(true)) => {}
                Ok(Value::Bool(false)) => return Ok(false),
                Ok(_) => return Err("it gives neither true nor false".into()),
                Err(error) => return Err(one_line(&error.to_string())),
            }
        }
        Ok(true)
    }
}

/// The operands of the outermost `&&`s.
fn split(expression: &IdedExpr, parts: &mut Vec<Part>) {
    match &expression.expr {
        Expr::Call(call) if call.func_name == operators::LOGICAL_AND => call.args.iter().for_each(|operand| split(operand, parts)),
        _ => {
            let references = expression.references();
            let speaks_of = VARIABLES.into_iter().filter(|variable| references.has_variable(*variable)).collect();
            parts.push(Part { expression: expression.clone(), speaks_of });
        }
    }
}

/// Finds what is wrong with a condition before it is ever judged.
#[derive(Default, Clone)]
struct Checker<'a> {
    schema: Option<&'a JsonValue>,
    /// The names that a macro such as `all` binds.
    bound: Vec<&'a str>,
}

impl<'a> Checker<'a> {
    fn check_whole(&self, expression: &'a IdedExpr) -> Result<(), String> {
        match self.kind(expression)? {
            Kind::Bool | Kind::Any => Ok(()),
            other => Err(format!("a condition must be true or false, this one is {other}")),
        }
    }

    fn kind(&self, expression: &'a IdedExpr) -> Result<Kind, String> {
        match &expression.expr {
            Expr::Literal(literal) => Ok(match literal {
                LiteralValue::Boolean(_) => Kind::Bool,
                LiteralValue::Double(_) | LiteralValue::Int(_) | LiteralValue::UInt(_) => Kind::Number,
                LiteralValue::String(_) => Kind::Text,
                LiteralValue::Null => Kind::Null,
                LiteralValue::Bytes(_) => return Err("bytes cannot stand in a condition".into()),
            }),
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => {
                let operand = self.kind(&select.operand)?;
                let field = self.field(&select.operand, &select.field)?;
                match operand {
                    Kind::Map | Kind::Any => Ok(if select.test { Kind::Bool } else { field }),
                    other => Err(format!("{other} has no field {:?}", select.field)),
                }
            }
            Expr::List(list) => {
                list.elements.iter().try_for_each(|element| self.kind(element).map(drop))?;
                Ok(Kind::List)
            }
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(over) => {
                if !self.bound.is_empty() {
                    return Err("all, exists, map and filter do not nest".into());
                }
                if !matches!(self.kind(&over.iter_range)?, Kind::List | Kind::Map | Kind::Any) {
                    return Err("all, exists, map and filter go over lists".into());
                }
                let mut inner = self.clone();
                inner.bound.extend([over.iter_var.as_str(), over.accu_var.as_str()]);
                inner.bound.extend(over.iter_var2.as_deref());
                for part in [&over.accu_init, &over.loop_cond, &over.loop_step, &over.result] {
                    inner.kind(part)?;
                }
                Ok(Kind::Any)
            }
            Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => Err("maps and messages cannot be made in a condition".into()),
        }
    }

    fn variable(&self, name: &str) -> Result<Kind, String> {
        if self.bound.contains(&name) {
            return Ok(Kind::Any);
        }
        if !VARIABLES.contains(&name) {
            return Err(format!("unknown variable {name:?}; known are {}", VARIABLES.join(", ")));
        }
        if name == "args" && !self.bound.is_empty() {
            return Err("within all, exists, map and filter, args cannot be looked at again".into());
        }
        Ok(Kind::Map)
    }

    /// The kind of a field of one of our variables, where that is known.
    fn field(&self, operand: &IdedExpr, field: &str) -> Result<Kind, String> {
        let Expr::Ident(variable) = &operand.expr else { return Ok(Kind::Any) };
        let known = match variable.as_str() {
            "caller" => CALLER.as_slice(),
            "call" => CALL.as_slice(),
            "args" => return self.argument(field),
            _ => return Ok(Kind::Any),
        };
        let found = known.iter().find(|(name, _)| *name == field).map(|(_, kind)| *kind);
        found.ok_or_else(|| {
            format!("{variable} has no {field:?}; it has {}", known.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "))
        })
    }

    fn argument(&self, name: &str) -> Result<Kind, String> {
        let Some(schema) = self.schema else { return Ok(Kind::Any) };
        let Some(properties) = schema.get("properties").and_then(JsonValue::as_object) else { return Ok(Kind::Any) };
        match properties.get(name).map(|property| property.get("type")) {
            Some(Some(JsonValue::String(kind))) => Ok(match kind.as_str() {
                "string" => Kind::Text,
                "number" | "integer" => Kind::Number,
                "boolean" => Kind::Bool,
                "array" => Kind::List,
                "object" => Kind::Map,
                _ => Kind::Any,
            }),
            Some(_) => Ok(Kind::Any),
            None if schema.get("additionalProperties").is_some_and(|more| more != &JsonValue::Bool(false)) => Ok(Kind::Any),
            None => Err(format!(
                "the tool has no argument {name:?}; it has {}",
                properties.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
            )),
        }
    }

    fn call(&self, call: &'a CallExpr) -> Result<Kind, String> {
        let operands: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        let kinds = operands.iter().map(|operand| self.kind(operand)).collect::<Result<Vec<_>, _>>()?;
        let all = |wanted: Kind, what: &str, gives: Kind| match kinds.iter().find(|kind| !kind.may_be(wanted)) {
            Some(other) => Err(format!("{what} goes with {wanted}, not with {other}")),
            None => Ok(gives),
        };
        let both = |what: &str| match kinds.as_slice() {
            [left, right] if left.may_be(*right) || *left == Kind::Null || *right == Kind::Null => Ok(Kind::Bool),
            [left, right] => Err(format!("{left} and {right} are never {what}")),
            _ => Err("a comparison has two sides".into()),
        };
        match call.func_name.as_str() {
            operators::LOGICAL_AND => all(Kind::Bool, "&&", Kind::Bool),
            operators::LOGICAL_OR => all(Kind::Bool, "||", Kind::Bool),
            operators::LOGICAL_NOT => all(Kind::Bool, "!", Kind::Bool),
            operators::EQUALS | operators::NOT_EQUALS => both("equal"),
            operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS => both("compared"),
            operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO | operators::NEGATE => {
                all(Kind::Number, "arithmetic", Kind::Number)
            }
            operators::ADD => both("added").map(|_| kinds.iter().copied().find(|kind| *kind != Kind::Any).unwrap_or(Kind::Any)),
            operators::IN => match kinds.as_slice() {
                [_, Kind::List | Kind::Map | Kind::Any] => Ok(Kind::Bool),
                _ => Err("in looks into a list".into()),
            },
            operators::INDEX => {
                if let [operand, IdedExpr { expr: Expr::Literal(LiteralValue::String(field)), .. }] = operands.as_slice() {
                    return self.field(operand, field.inner());
                }
                Ok(Kind::Any)
            }
            operators::CONDITIONAL => match kinds.as_slice() {
                [Kind::Bool | Kind::Any, then, otherwise] => Ok(if then == otherwise { *then } else { Kind::Any }),
                _ => Err("what stands before ? must be true or false".into()),
            },
            name => {
                let known = FUNCTIONS.iter().find(|(function, ..)| *function == name);
                let Some((_, wanted, gives)) = known else {
                    let names: Vec<&str> = FUNCTIONS.iter().map(|(name, ..)| *name).filter(|name| !name.starts_with('@')).collect();
                    return Err(format!("unknown function {name:?}; known are {}", names.join(", ")));
                };
                if wanted.len() != kinds.len() || kinds.iter().zip(*wanted).any(|(kind, wanted)| !kind.may_be(*wanted)) {
                    return Err(format!("{name} does not go with these operands"));
                }
                if name == "matches" {
                    // A pattern is made ready each time that it is used: once for a call is no matter, once for each item is.
                    if !self.bound.is_empty() {
                        return Err(
                            "within all, exists, map and filter, matches cannot be used; startsWith, endsWith and contains can".into()
                        );
                    }
                    let Some(IdedExpr { expr: Expr::Literal(LiteralValue::String(pattern)), .. }) = operands.last() else {
                        return Err("the pattern of matches must stand in the condition itself".into());
                    };
                    check_pattern(pattern.inner())?;
                }
                Ok(*gives)
            }
        }
    }
}

/// Whether a regular expression can be used, found out by the very function that will use it.
fn check_pattern(pattern: &str) -> Result<(), String> {
    let program = Program::compile("''.matches(pattern)").map_err(|errors| errors.to_string())?;
    let mut context = Context::with_env(Arc::clone(&STANDARD));
    context.add_variable_from_value("pattern", text_value(pattern));
    program.execute(&context).map(drop).map_err(|error| format!("matches: {}", one_line(&error.to_string())))
}

impl Kind {
    fn may_be(self, other: Self) -> bool {
        self == other || self == Self::Any || other == Self::Any
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "anything",
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::List => "a list",
            Self::Map => "an object",
            Self::Null => "null",
        })
    }
}

fn value(json: &JsonValue) -> Value {
    match json {
        JsonValue::Null => Value::Null,
        JsonValue::Bool(flag) => Value::Bool(*flag),
        JsonValue::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(whole), ..) => Value::Int(whole),
            (None, Some(whole), _) => Value::UInt(whole),
            (None, None, float) => Value::Float(float.unwrap_or(f64::NAN)),
        },
        JsonValue::String(text) => text_value(text),
        JsonValue::Array(items) => Value::List(Arc::new(items.iter().map(value).collect())),
        JsonValue::Object(members) => map(members),
    }
}

fn text_value(text: &str) -> Value {
    Value::String(Arc::new(text.to_owned()))
}

fn map(members: &serde_json::Map<String, JsonValue>) -> Value {
    let members: HashMap<Key, Value> = members.iter().map(|(key, member)| (Key::String(Arc::new(key.clone())), value(member))).collect();
    Value::Map(cel::objects::Map { map: Arc::new(members) })
}

fn record<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let fields: HashMap<Key, Value> = fields.into_iter().map(|(key, value)| (Key::String(Arc::new(key.to_owned())), value)).collect();
    Value::Map(cel::objects::Map { map: Arc::new(fields) })
}

/// What is wrong in the words of the parser, as far as these help.
fn not_cel(text: &str, told: &str) -> String {
    let first = told.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let told = first.split(" expecting ").next().unwrap_or(first).trim_start_matches("ERROR: ");
    let compares = text.replace("==", "").replace("!=", "").replace("<=", "").replace(">=", "").contains('=');
    format!("this is not CEL: {}{}", one_line(told), if compares { "; to compare, write ==" } else { "" })
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judge(condition: &str, arguments: &JsonValue) -> Result<bool, String> {
        let claims = json!({"team": "blue", "groups": ["a", "b"], "level": 3});
        let caller = toolcrib_contract::CallerId::new("login", "ann", ["user"]);
        let facts = Facts {
            claims: claims.as_object().unwrap(),
            caller: &caller,
            name: "api_client",
            door: "http",
            address: "10.0.0.1".parse().ok(),
        };
        Condition::parse(condition)?.holds(facts, Some(arguments))
    }

    #[test]
    fn conditions_look_at_arguments_claims_caller_and_call() {
        let arguments = json!({"method": "GET", "project": "blue", "n": 5, "ratio": 0.5, "tags": ["x", "y"], "deep": {"a": {"b": 1}}});
        for holds in [
            r#"args.method == "GET""#,
            "claims.team == args.project",
            r#"args.method in ["GET", "HEAD"] && claims.level >= 3"#,
            "args.n > 4 && args.n < 5.5 && args.ratio <= 0.5",
            "args.tags.all(t, t in ['x', 'y', 'z'])",
            "args.tags.exists(t, t == 'y')",
            "args.tags.all(t, t.startsWith('x') || t in claims.groups || t == 'y')",
            "has(args.method) && !has(args.body)",
            "'user' in caller.roles && caller.subject == 'ann' && caller.authority == 'login'",
            "call.door == 'http' && call.address.startsWith('10.') && call.name == 'api_client'",
            "args.deep.a.b == 1 && size(args.tags) == 2 && size(args.method) == 3",
            r#"args.method.matches("^(GET|HEAD)$") && string(args.n) == "5""#,
            "args['method'] == 'GET'",
            "args.n == 5 ? true : false",
            "args.body == null || true",
        ] {
            assert_eq!(judge(holds, &arguments), Ok(true), "{holds}");
        }
        for fails in [r#"args.method == "POST""#, "args.tags.exists(t, t == 'q')", "!('user' in caller.roles)", "args.n == 5.5"] {
            assert_eq!(judge(fails, &arguments), Ok(false), "{fails}");
        }
        for broken in ["args.body == 'x'", "claims.none == 'x'", "args.method > 3", "args.deep.z.b == 1"] {
            assert!(judge(broken, &arguments).is_err(), "{broken}");
        }
    }

    #[test]
    fn what_cannot_be_judged_is_refused_when_it_is_read() {
        let cases = [
            ("arg.method == 'GET'", "unknown variable \"arg\"; known are args, claims, caller, call"),
            ("caller.role == 'x'", "caller has no \"role\"; it has subject, authority, roles"),
            ("call.tool == 'x'", "call has no \"tool\""),
            ("args.method ==", "this is not CEL"),
            ("'x'", "a condition must be true or false, this one is a text"),
            ("1 + 2", "this one is a number"),
            ("caller.subject == 3", "a text and a number are never equal"),
            ("caller.roles && true", "&& goes with true or false, not with a list"),
            ("lower(args.method) == 'get'", "unknown function \"lower\""),
            ("args.method.contains(3)", "contains does not go with these operands"),
            ("args.method.matches('(')", "matches: "),
            ("'a' in caller.subject", "in looks into a list"),
            ("args.a.all(x, args.a.exists(y, x == y))", "do not nest"),
            ("args.a.all(x, x in args.a)", "args cannot be looked at again"),
            ("{'a': 1} == args", "cannot be made in a condition"),
            ("args.a.all(x, x.matches('^a$'))", "matches cannot be used"),
            ("args.a.matches(args.b)", "must stand in the condition itself"),
            ("args.a = 'x'", "to compare, write =="),
        ];
        for (condition, expected) in cases {
            let fault = Condition::parse(condition).unwrap_err();
            assert!(fault.contains(expected), "{condition}: {fault}");
        }
        Condition::parse(&format!("args.a == '{}'", "x".repeat(MAX_BYTES))).unwrap_err();
        Condition::parse(&"(".repeat(2000)).unwrap_err();
    }

    #[test]
    fn arguments_are_checked_against_the_schema_of_the_tool() {
        let schema = json!({"type": "object", "properties": {"method": {"type": "string"}, "n": {"type": ["integer", "null"]}}});
        let fits = |condition: &str| Condition::parse(condition).unwrap().fits(&schema);
        fits("args.method == 'GET' && args.n == 3").unwrap();
        assert!(fits("args.methd == 'GET'").unwrap_err().contains("no argument \"methd\"; it has method, n"));
        assert!(fits("args['methd'] == 'GET'").unwrap_err().contains("no argument"));
        assert!(fits("args.method == 3").unwrap_err().contains("never equal"));
        let open = json!({"type": "object", "properties": {}, "additionalProperties": true});
        Condition::parse("args.any == 3").unwrap().fits(&open).unwrap();
    }

    #[test]
    fn without_arguments_only_what_needs_none_is_judged() {
        let claims = serde_json::Map::new();
        let caller = toolcrib_contract::CallerId::anonymous();
        let facts = Facts { claims: &claims, caller: &caller, name: "t", door: "http", address: None };
        let judge = |condition: &str| Condition::parse(condition).unwrap().holds(facts, None);
        assert_eq!(judge("call.door == 'http' && args.method == 'GET'"), Ok(true));
        assert_eq!(judge("call.door == 'stdio' && args.method == 'GET'"), Ok(false));
        assert_eq!(judge("args.method == 'GET' || call.door == 'stdio'"), Ok(true));
        judge("claims.team == 'x' && args.method == 'GET'").unwrap_err();
    }
}
