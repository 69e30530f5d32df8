// says: `Greeter` is not a tool
// says: write `#[tool]` above an async function
struct Greeter;

fn offer() {
    let _ = toolcrib::typed(Greeter);
}
