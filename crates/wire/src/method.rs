//! The names of methods that the protocol defines, each written once.

/// Opens a legacy session.
pub const INITIALIZE: &str = "initialize";
/// Tells that a legacy client is ready.
pub const INITIALIZED: &str = "notifications/initialized";
/// Asks a legacy peer whether it is there.
pub const PING: &str = "ping";
/// Asks a modern server what it is and can do.
pub const DISCOVER: &str = "server/discover";
/// Opens a modern stream of changes.
pub const LISTEN: &str = "subscriptions/listen";
/// The first message of such a stream.
pub const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
/// Lists tools.
pub const LIST_TOOLS: &str = "tools/list";
/// Calls a tool.
pub const CALL_TOOL: &str = "tools/call";
/// Lists resources.
pub const LIST_RESOURCES: &str = "resources/list";
/// Lists resource templates.
pub const LIST_TEMPLATES: &str = "resources/templates/list";
/// Reads a resource.
pub const READ_RESOURCE: &str = "resources/read";
/// Subscribes a legacy session to a resource.
pub const SUBSCRIBE: &str = "resources/subscribe";
/// Ends such a subscription.
pub const UNSUBSCRIBE: &str = "resources/unsubscribe";
/// Lists prompts.
pub const LIST_PROMPTS: &str = "prompts/list";
/// Gets a prompt.
pub const GET_PROMPT: &str = "prompts/get";
/// Completes an argument.
pub const COMPLETE: &str = "completion/complete";
/// Sets the log level of a legacy session.
pub const SET_LEVEL: &str = "logging/setLevel";
/// Reports progress of a request.
pub const PROGRESS: &str = "notifications/progress";
/// Carries a log message.
pub const LOG: &str = "notifications/message";
/// Cancels a request.
pub const CANCELLED: &str = "notifications/cancelled";
/// Tells that the list of tools changed.
pub const TOOLS_CHANGED: &str = "notifications/tools/list_changed";
/// Tells that the list of prompts changed.
pub const PROMPTS_CHANGED: &str = "notifications/prompts/list_changed";
/// Tells that the list of resources changed.
pub const RESOURCES_CHANGED: &str = "notifications/resources/list_changed";
/// Tells that a resource changed.
pub const RESOURCE_UPDATED: &str = "notifications/resources/updated";
/// Asks the user something.
pub const ELICIT: &str = "elicitation/create";
/// Asks the client's model for a completion.
pub const SAMPLE: &str = "sampling/createMessage";
/// Asks for the client's roots.
pub const LIST_ROOTS: &str = "roots/list";
