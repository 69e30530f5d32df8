// says: a name has up to 49 letters, digits, `-` and `_`: clients take no others
/// Greets.
#[tool(name = "greet somebody!")]
async fn greet(name: String) -> Result<String, CallError> {
    Ok(name)
}
