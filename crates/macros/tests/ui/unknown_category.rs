// says: a category is one of data_retrieval, data_processing, external_integration and utility
/// Greets.
#[tool(category = greetings)]
async fn greet(name: String) -> Result<String, CallError> {
    Ok(name)
}
