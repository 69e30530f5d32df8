// says: say what the tool does in a doc comment
#[tool]
async fn greet(name: String) -> Result<String, CallError> {
    Ok(name)
}
