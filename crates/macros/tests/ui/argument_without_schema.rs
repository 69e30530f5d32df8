// says: JsonSchema` is not
// says: Place
struct Place;

/// Greets.
#[tool]
async fn greet(place: Place) -> Result<String, CallError> {
    let _ = place;
    Ok(String::new())
}
