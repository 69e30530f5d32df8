//! `#[tool]`: an async function is a tool.
//!
//! Used as `toolcrib::tool`, where it is documented with an example.

mod arguments;
mod expand;

use proc_macro::TokenStream;

/// Makes a tool of an async function: in its place stands one of the same name that takes nothing and gives the tool.
///
/// The function's doc comment is what the model chooses by; its parameters are the arguments, each with its own doc comment;
/// one parameter may be `&CallContext`. What it returns is `Result<T, CallError>`.
///
/// | in the attribute | is |
/// |---|---|
/// | `name = "…"` | the name that clients call, if not that of the function |
/// | `title = "…"`, `version = "…"`, `author = "…"` | texts of its [`Spec`](../toolcrib_contract/spec/struct.Spec.html) |
/// | `category = data_retrieval` | or `data_processing`, `external_integration`, `utility` |
/// | `tags("…", "…")` | words to find it by |
/// | `timeout = 5` | seconds that a call may take |
/// | `reaches(network, files)` | what it reaches beyond its arguments |
/// | `pure` | it only looks at its arguments |
/// | `read_only`, `destructive`, `idempotent`, `open_world` | what it says of its effects, each `true` unless `= false` |
/// | `calls_others` | it calls other tools, by `CallContext::call_tool` |
/// | `crate = path` | where `toolcrib` is, if not there |
///
/// A tool that holds something (a pool, a client, a cache) is a struct that implements `Tool`, or a closure given to `tool_fn`.
#[proc_macro_attribute]
pub fn tool(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand::tool(attribute.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
