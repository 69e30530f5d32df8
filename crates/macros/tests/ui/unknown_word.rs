// says: `readonly` is nothing that a tool has; known are name, title
/// Greets.
#[tool(readonly)]
async fn greet(name: String) -> Result<String, CallError> {
    Ok(name)
}
