//! A tool with everything that can be said of one, made of another tool.
//!
//! ```sh
//! cargo run --example weather -- call what_to_wear place=Bern
//! ```

use std::{process::ExitCode, time::Duration};
use toolcrib::{
    Annotations, CallContext, CallError, Category, Crib, Reach, Spec, Tool,
    schemars::JsonSchema,
    serde::{Deserialize, Serialize},
};

fn main() -> ExitCode {
    // Of the ready tools, this server offers one.
    Crib::builder().name("weather", "1.0.0").ready_tools(&["weather_api"]).tool(WhatToWear).serve()
}

/// Advises on clothes. It holds nothing; one that did would hold it here.
struct WhatToWear;

#[derive(Deserialize, JsonSchema)]
struct Where {
    /// The name of a place, such as Paris or "Paris, US".
    place: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Advice {
    /// Where that is.
    place: String,
    /// How warm it feels, in °C.
    feels_like: f64,
    /// What to put on, the innermost first.
    wear: Vec<&'static str>,
}

/// What of the answer of `weather_api` is looked at.
#[derive(Deserialize)]
struct Weather {
    location: String,
    current: Now,
}

#[derive(Deserialize)]
struct Now {
    feels_like: f64,
    condition: String,
}

impl Tool for WhatToWear {
    type Args = Where;
    type Output = Advice;

    /// It calls `weather_api`, for whoever calls it: who may not have that one does not get it this way either.
    const CALLS_OTHERS: bool = true;

    fn spec(&self) -> Spec {
        Spec::new("what_to_wear", "Advises on what to wear outdoors at a place, by the weather there now.")
            .title("What to wear")
            .category(Category::ExternalIntegration)
            .version("1.2.0")
            .author("The examples of Toolcrib")
            .tags(&["weather", "clothes"])
            .annotations(Annotations::LOOKS_OUTSIDE)
            .reaches(&[Reach::Network])
            .timeout(Duration::from_secs(20))
    }

    async fn run(&self, Where { place }: Where, cx: &CallContext) -> Result<Advice, CallError> {
        cx.progress(0.0, Some(1.0), Some("asking for the weather"));
        let Weather { location, current } = cx.call_for("weather_api", &serde_json::json!({ "location": place })).await?;
        let mut wear = vec![match current.feels_like {
            ..5.0 => "a pullover",
            5.0..18.0 => "a long-sleeved shirt",
            _ => "a T-shirt",
        }];
        let condition = current.condition.to_lowercase();
        if ["rain", "drizzle", "shower", "thunder"].iter().any(|wet| condition.contains(wet)) {
            wear.push("a raincoat");
        } else if current.feels_like < 12.0 {
            wear.push("a coat");
        }
        Ok(Advice { place: location, feels_like: current.feels_like, wear })
    }
}
