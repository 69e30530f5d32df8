// says: a tool has no type parameters
/// Greets.
#[tool]
async fn greet<T: ToString>(name: T) -> Result<String, CallError> {
    Ok(name.to_string())
}
