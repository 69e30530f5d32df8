// says: cannot be sent between threads safely
/// Greets.
#[tool]
async fn greet(name: String) -> Result<String, CallError> {
    let shared = std::rc::Rc::new(name);
    std::future::ready(()).await;
    Ok(shared.to_string())
}
