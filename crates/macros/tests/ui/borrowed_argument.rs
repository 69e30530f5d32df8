// says: an argument is owned, such as `String` or `Vec<…>`; only `&CallContext` is borrowed
/// Greets.
#[tool]
async fn greet(name: &str) -> Result<String, CallError> {
    Ok(name.to_owned())
}
