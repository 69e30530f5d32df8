//! What stands in the parentheses of `#[tool(…)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Ident, Lit, LitBool, LitFloat, LitInt, LitStr, Path, Token, parenthesized,
    parse::{Parse, ParseStream},
    parse_quote,
    punctuated::Punctuated,
};

const KNOWN: &str = "name, title, version, author, category, tags, timeout, reaches, pure, read_only, destructive, idempotent, open_world, \
                     calls_others, crate";

/// The attribute's arguments.
pub(crate) struct Arguments {
    pub(crate) name: Option<LitStr>,
    /// Where the library is.
    pub(crate) library: Path,
    pub(crate) calls_others: bool,
    /// Calls on the specification, in their order.
    pub(crate) said: Vec<TokenStream>,
    hints: Vec<(&'static str, bool)>,
    is_pure: bool,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut arguments = Self {
            name: None,
            library: parse_quote!(::toolcrib),
            calls_others: false,
            said: Vec::new(),
            hints: Vec::new(),
            is_pure: false,
        };
        while !input.is_empty() {
            arguments.one(input)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(arguments)
    }
}

impl Arguments {
    fn one(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        if input.peek(Token![crate]) {
            input.parse::<Token![crate]>()?;
            input.parse::<Token![=]>()?;
            self.library = input.call(Path::parse_mod_style)?;
            return Ok(());
        }
        let key: Ident = input.parse().map_err(|error| syn::Error::new(error.span(), format!("expected one of {KNOWN}")))?;
        match key.to_string().as_str() {
            "name" => {
                let name: LitStr = valued(input)?;
                let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
                if name.value().is_empty() || name.value().len() > 49 || !name.value().chars().all(is_plain) {
                    return Err(syn::Error::new(name.span(), "a name has up to 49 letters, digits, `-` and `_`: clients take no others"));
                }
                self.name = Some(name);
            }
            "title" => self.text(input, quote!(title))?,
            "version" => self.text(input, quote!(version))?,
            "author" => self.text(input, quote!(author))?,
            "category" => {
                input.parse::<Token![=]>()?;
                // In quotes or not.
                let word = if input.peek(LitStr) { input.parse::<LitStr>()?.parse()? } else { input.parse()? };
                let category = category(&word)?;
                self.say(|library| quote!(category(#library::Category::#category)));
            }
            "tags" => {
                let tags = listed::<LitStr>(input)?;
                self.say(|_| quote!(tags(&[#tags])));
            }
            "reaches" => {
                let reaches = listed::<Ident>(input)?.iter().map(reach).collect::<syn::Result<Vec<_>>>()?;
                self.say(|library| quote!(reaches(&[#(#library::Reach::#reaches),*])));
            }
            "timeout" => {
                let seconds = seconds(input)?;
                self.say(|_| quote!(timeout(::core::time::Duration::from_secs_f64(#seconds))));
            }
            "pure" if self.hints.contains(&("is_destructive", true)) => {
                return Err(syn::Error::new(key.span(), "what only looks at its arguments destroys nothing"));
            }
            "destructive" if self.is_pure => return Err(syn::Error::new(key.span(), "what only looks at its arguments destroys nothing")),
            "pure" => self.is_pure = true,
            "calls_others" => self.calls_others = true,
            "read_only" => self.hint(input, "is_read_only")?,
            "destructive" => self.hint(input, "is_destructive")?,
            "idempotent" => self.hint(input, "is_idempotent")?,
            "open_world" => self.hint(input, "is_open_world")?,
            _ => return Err(syn::Error::new(key.span(), format!("`{key}` is nothing that a tool has; known are {KNOWN}"))),
        }
        Ok(())
    }

    fn text(&mut self, input: ParseStream<'_>, method: TokenStream) -> syn::Result<()> {
        let text: LitStr = valued(input)?;
        self.say(|_| quote!(#method(#text)));
        Ok(())
    }

    fn say(&mut self, call: impl Fn(&Path) -> TokenStream) {
        let call = call(&self.library);
        self.said.push(call);
    }

    fn hint(&mut self, input: ParseStream<'_>, field: &'static str) -> syn::Result<()> {
        let value = if input.peek(Token![=]) { valued::<LitBool>(input)?.value } else { true };
        self.hints.push((field, value));
        Ok(())
    }

    /// What the tool says of its effects.
    pub(crate) fn annotations(&self) -> TokenStream {
        let library = &self.library;
        let base = if self.is_pure { quote!(PURE) } else { quote!(default()) };
        let fields = self.hints.iter().map(|(field, value)| {
            let field = Ident::new(field, proc_macro2::Span::call_site());
            quote!(#field: ::core::option::Option::Some(#value))
        });
        quote!(#library::Annotations { #(#fields,)* ..#library::Annotations::#base })
    }
}

fn valued<T: Parse>(input: ParseStream<'_>) -> syn::Result<T> {
    input.parse::<Token![=]>()?;
    input.parse()
}

fn listed<T: Parse>(input: ParseStream<'_>) -> syn::Result<Punctuated<T, Token![,]>> {
    let content;
    parenthesized!(content in input);
    Punctuated::parse_terminated(&content)
}

fn seconds(input: ParseStream<'_>) -> syn::Result<f64> {
    let literal: Lit = valued(input)?;
    let seconds = match &literal {
        Lit::Int(number) => LitInt::base10_parse::<u32>(number).map(f64::from),
        Lit::Float(number) => LitFloat::base10_parse::<f64>(number),
        other => Err(syn::Error::new(other.span(), "expected a number of seconds, such as 5 or 0.5")),
    }?;
    if seconds > 0.0 { Ok(seconds) } else { Err(syn::Error::new(literal.span(), "a tool needs more than 0 seconds")) }
}

fn category(word: &Ident) -> syn::Result<Ident> {
    let variant = match word.to_string().as_str() {
        "data_retrieval" => "DataRetrieval",
        "data_processing" => "DataProcessing",
        "external_integration" => "ExternalIntegration",
        "utility" => "Utility",
        _ => {
            return Err(syn::Error::new(
                word.span(),
                "a category is one of data_retrieval, data_processing, external_integration and utility",
            ));
        }
    };
    Ok(Ident::new(variant, word.span()))
}

fn reach(word: &Ident) -> syn::Result<Ident> {
    let variant = match word.to_string().as_str() {
        "network" => "Network",
        "files" => "Files",
        _ => return Err(syn::Error::new(word.span(), "a tool reaches network or files")),
    };
    Ok(Ident::new(variant, word.span()))
}
