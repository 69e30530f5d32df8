// says: a tool is an `async fn`: it must not keep others waiting
/// Greets.
#[tool]
fn greet(name: String) -> Result<String, CallError> {
    Ok(name)
}
