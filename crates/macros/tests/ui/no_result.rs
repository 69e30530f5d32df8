// says: a tool returns `Result<T, CallError>`
/// Greets.
#[tool]
async fn greet(name: String) -> String {
    name
}
