//! What is written in place of the function: one of the same name that gives the tool.

use crate::arguments::Arguments;
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{
    Attribute, Expr, ExprLit, FnArg, GenericArgument, Ident, ItemFn, Lit, Meta, Pat, PatType, PathArguments, ReturnType, Signature, Type,
    spanned::Spanned,
};

pub(crate) fn tool(attribute: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let arguments: Arguments = syn::parse2(attribute)?;
    let mut function: ItemFn = syn::parse2(item).map_err(|error| syn::Error::new(error.span(), "#[tool] goes above an async function"))?;
    refuse_odd(&function)?;
    let description = documentation(&function.attrs);
    if description.is_empty() {
        let message = "say what the tool does in a doc comment (`/// …`): the model chooses by it";
        return Err(syn::Error::new(function.sig.ident.span(), message));
    }
    let parameters = function.sig.inputs.iter_mut().map(parameter).collect::<syn::Result<Vec<_>>>()?;
    refuse_two_contexts(&parameters)?;
    let output = output(&function.sig.output, function.sig.ident.span())?;
    Ok(written(&arguments, &function, &description, &parameters, &output))
}

/// A parameter of the function.
enum Parameter {
    /// One of the arguments, as a field: attributes, name and type.
    Argument(Vec<Attribute>, Ident, Box<Type>),
    /// The context of the call.
    Context(Span),
}

fn written(arguments: &Arguments, function: &ItemFn, description: &str, parameters: &[Parameter], output: &Type) -> TokenStream {
    let Arguments { library, calls_others, said, .. } = arguments;
    let (visibility, name) = (&function.vis, &function.sig.ident);
    let called = arguments.name.as_ref().map_or_else(|| unraw(name), syn::LitStr::value);
    let (attributes, annotations) = (&function.attrs, arguments.annotations());
    let fields = parameters.iter().filter_map(|parameter| match parameter {
        Parameter::Argument(attributes, name, kind) => Some(quote!(#(#attributes)* #name: #kind)),
        Parameter::Context(_) => None,
    });
    let names = parameters.iter().filter_map(|parameter| match parameter {
        Parameter::Argument(_, name, _) => Some(name),
        Parameter::Context(_) => None,
    });
    let given = parameters.iter().map(|parameter| match parameter {
        Parameter::Argument(_, name, _) => name.to_token_stream(),
        Parameter::Context(_) => quote!(__cx),
    });
    // A parameter may have the name of the function.
    let signature = Signature { ident: Ident::new("__run", name.span()), ..function.sig.clone() };
    let body = &function.block;
    let (serde_path, schemars_path) = (path_text(library, "serde"), path_text(library, "schemars"));
    quote! {
        #(#attributes)*
        #[must_use]
        #visibility fn #name() -> impl #library::Tool {
            #[derive(#library::serde::Deserialize, #library::schemars::JsonSchema)]
            #[serde(crate = #serde_path, deny_unknown_fields)]
            #[schemars(crate = #schemars_path, rename = #called)]
            #[allow(missing_docs, reason = "each field is documented as its author wished")]
            pub struct __Arguments {
                #(#fields,)*
            }

            struct __Function;

            impl #library::Tool for __Function {
                type Args = __Arguments;
                type Output = #output;

                const CALLS_OTHERS: bool = #calls_others;

                fn spec(&self) -> #library::Spec {
                    #library::Spec::new(#called, #description).annotations(#annotations)#(.#said)*
                }

                async fn run(
                    &self,
                    __Arguments { #(#names),* }: __Arguments,
                    __cx: &#library::CallContext,
                ) -> ::core::result::Result<#output, #library::CallError> {
                    #signature #body
                    __run(#(#given),*).await
                }
            }

            __Function
        }
    }
}

fn path_text(library: &syn::Path, krate: &str) -> String {
    format!("{}::{krate}", library.to_token_stream().to_string().replace(' ', ""))
}

fn unraw(name: &Ident) -> String {
    name.to_string().trim_start_matches("r#").to_owned()
}

fn refuse_odd(function: &ItemFn) -> syn::Result<()> {
    let signature = &function.sig;
    if signature.asyncness.is_none() {
        return Err(syn::Error::new(signature.fn_token.span(), "a tool is an `async fn`: it must not keep others waiting"));
    }
    if !signature.generics.params.is_empty() || signature.generics.where_clause.is_some() {
        let message = "a tool has no type parameters: its schema is that of definite types";
        return Err(syn::Error::new(signature.generics.span(), message));
    }
    Ok(())
}

/// Takes the attributes of a parameter away from the function, where there must be none.
fn parameter(argument: &mut FnArg) -> syn::Result<Parameter> {
    let PatType { attrs, pat, ty, .. } = match argument {
        FnArg::Typed(argument) => argument,
        FnArg::Receiver(receiver) => {
            let message = "#[tool] is for functions; a tool with a `self` is a struct that implements `Tool`";
            return Err(syn::Error::new(receiver.span(), message));
        }
    };
    if is_context(ty) {
        return Ok(Parameter::Context(ty.span()));
    }
    if let Type::Reference(reference) = &**ty {
        let message = "an argument is owned, such as `String` or `Vec<…>`; only `&CallContext` is borrowed";
        return Err(syn::Error::new(reference.span(), message));
    }
    if is_named_context(ty) {
        return Err(syn::Error::new(ty.span(), "the context of the call is borrowed: write `&CallContext`"));
    }
    let Pat::Ident(name) = &mut **pat else {
        return Err(syn::Error::new(pat.span(), "an argument needs a name: clients give it by that"));
    };
    Ok(Parameter::Argument(std::mem::take(attrs), name.ident.clone(), ty.clone()))
}

fn is_context(kind: &Type) -> bool {
    let Type::Reference(reference) = kind else { return false };
    is_named_context(&reference.elem)
}

fn is_named_context(kind: &Type) -> bool {
    let Type::Path(path) = kind else { return false };
    path.path.segments.last().is_some_and(|segment| segment.ident == "CallContext")
}

fn refuse_two_contexts(parameters: &[Parameter]) -> syn::Result<()> {
    let mut contexts = parameters.iter().filter_map(|parameter| match parameter {
        Parameter::Context(span) => Some(*span),
        Parameter::Argument(..) => None,
    });
    contexts.nth(1).map_or(Ok(()), |second| Err(syn::Error::new(second, "a call has one context")))
}

/// The `T` of `Result<T, CallError>`.
fn output(returned: &ReturnType, name: Span) -> syn::Result<Type> {
    const WANTED: &str = "a tool returns `Result<T, CallError>`, where `T` is serialisable and has a schema";
    let ReturnType::Type(_, kind) = returned else { return Err(syn::Error::new(name, WANTED)) };
    let found = match &**kind {
        Type::Path(path) => path.path.segments.last().filter(|segment| segment.ident == "Result"),
        _ => None,
    };
    let first = found.and_then(|segment| match &segment.arguments {
        PathArguments::AngleBracketed(generics) => generics.args.first(),
        _ => None,
    });
    match first {
        Some(GenericArgument::Type(output)) => Ok(output.clone()),
        _ => Err(syn::Error::new(kind.span(), WANTED)),
    }
}

/// The text of the doc comments.
fn documentation(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| {
        let Meta::NameValue(pair) = &attribute.meta else { return None };
        let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &pair.value else { return None };
        pair.path.is_ident("doc").then(|| text.value())
    });
    let lines: Vec<String> = lines.map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned()).collect();
    lines.join("\n").trim().to_owned()
}
