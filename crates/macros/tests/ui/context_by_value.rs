// says: the context of the call is borrowed: write `&CallContext`
/// Greets.
#[tool]
async fn greet(name: String, cx: CallContext) -> Result<String, CallError> {
    let _ = cx;
    Ok(name)
}
