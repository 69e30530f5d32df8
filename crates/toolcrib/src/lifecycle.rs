//! What authored tools do before the first call and after the last one.

use crate::BuildError;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{task::JoinSet, time::timeout};
use toolcrib_contract::{BoxError, BoxFuture, Callable};

/// How long one may take to make ready.
const TO_BEGIN: Duration = Duration::from_secs(60);
/// How long one may take to tidy up.
const TO_END: Duration = Duration::from_secs(10);

type Begin = Arc<dyn Fn() -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync>;
type End = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// Everything that makes ready and tidies up. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lifecycle {
    /// Of the server as a whole, in the order in which they were given.
    server: Vec<Hook>,
    /// Of its tools, in their order.
    tools: Vec<Hook>,
    has_ended: Arc<AtomicBool>,
}

#[derive(Clone)]
enum Hook {
    Begin(Begin),
    End(End),
    Tool(String, Arc<dyn Callable>),
}

impl Lifecycle {
    pub(crate) fn begin(&mut self, begin: Begin) {
        self.server.push(Hook::Begin(begin));
    }

    pub(crate) fn end(&mut self, end: End) {
        self.server.push(Hook::End(end));
    }

    pub(crate) fn tool(&mut self, name: &str, tool: Arc<dyn Callable>) {
        self.tools.push(Hook::Tool(name.to_owned(), tool));
    }

    /// Makes everything ready: first the server, then its tools. Once one has failed, everything is tidied up, those that were never made
    /// ready included.
    pub(crate) async fn initialize(&self) -> Result<(), BuildError> {
        for hook in self.hooks() {
            if let Err(reason) = hook.initialize().await {
                self.cleanup().await;
                return Err(BuildError::NotReady { what: hook.to_string(), reason });
            }
        }
        Ok(())
    }

    /// Tidies up in the opposite order, if that was not done.
    pub(crate) async fn cleanup(&self) {
        if self.has_ended.swap(true, Ordering::AcqRel) {
            return;
        }
        for hook in self.hooks().rev() {
            if let Err(reason) = hook.cleanup().await {
                tracing::error!("{hook} could not tidy up: {reason}");
            }
        }
    }

    fn hooks(&self) -> impl DoubleEndedIterator<Item = &Hook> {
        self.server.iter().chain(&self.tools)
    }
}

impl Hook {
    async fn initialize(&self) -> Result<(), BoxError> {
        match self {
            Self::Begin(begin) => {
                let begin = Arc::clone(begin);
                contained(async move { begin().await }, TO_BEGIN).await?
            }
            Self::Tool(_, tool) => {
                let tool = Arc::clone(tool);
                contained(async move { tool.initialize().await }, TO_BEGIN).await?
            }
            Self::End(_) => Ok(()),
        }
    }

    async fn cleanup(&self) -> Result<(), BoxError> {
        match self {
            Self::End(end) => {
                let end = Arc::clone(end);
                contained(async move { end().await }, TO_END).await
            }
            Self::Tool(_, tool) => {
                let tool = Arc::clone(tool);
                contained(async move { tool.cleanup().await }, TO_END).await
            }
            Self::Begin(_) => Ok(()),
        }
    }
}

/// Lets author's code run where a panic, or a wait without end, is an error of its own. Dropped, it is broken off.
async fn contained<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static, at_most: Duration) -> Result<T, BoxError> {
    let mut tasks = JoinSet::new();
    tasks.spawn(work);
    match timeout(at_most, tasks.join_next()).await {
        Ok(Some(Ok(done))) => Ok(done),
        Ok(Some(Err(panicked))) => Err(panicked.to_string().into()),
        Ok(None) => Err("it was never begun".into()),
        Err(_) => Err(format!("it took longer than {} s", at_most.as_secs()).into()),
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tool(name, _) => write!(f, "the tool {name:?}"),
            Self::Begin(_) | Self::End(_) => f.write_str("the server"),
        }
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hook({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    type Told = Arc<Mutex<Vec<String>>>;

    /// Tells what is done with it.
    struct Tells {
        name: &'static str,
        told: Told,
        fails: bool,
    }

    impl Callable for Tells {
        fn call(
            &self,
            _: toolcrib_contract::Input,
            _: toolcrib_contract::CallContext,
        ) -> BoxFuture<'_, Result<toolcrib_contract::Output, toolcrib_contract::CallError>> {
            Box::pin(async { Err(toolcrib_contract::CallError::failed("nobody calls it")) })
        }

        fn initialize(&self) -> BoxFuture<'_, Result<(), BoxError>> {
            self.told.lock().unwrap().push(format!("+{}", self.name));
            Box::pin(async { if self.fails { Err("no disk".into()) } else { Ok(()) } })
        }

        fn cleanup(&self) -> BoxFuture<'_, ()> {
            self.told.lock().unwrap().push(format!("-{}", self.name));
            assert!(!self.name.contains("clumsy"), "dropped everything");
            Box::pin(async {})
        }
    }

    fn lifecycle(names: &[&'static str]) -> (Lifecycle, Told) {
        let (told, mut lifecycle) = (Told::default(), Lifecycle::default());
        for name in names {
            let (told, fails) = (Arc::clone(&told), name.contains("broken"));
            lifecycle.tool(name, Arc::new(Tells { name, told, fails }));
        }
        (lifecycle, told)
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_was_made_ready_first_is_tidied_up_last_and_once() {
        let (mut lifecycle, told) = lifecycle(&["a", "clumsy", "b"]);
        let of_server = Arc::clone(&told);
        lifecycle.begin(Arc::new(move || {
            of_server.lock().unwrap().push("+server".into());
            Box::pin(async { Ok(()) })
        }));
        lifecycle.initialize().await.unwrap();
        assert_eq!(told.lock().unwrap().join(" "), "+server +a +clumsy +b");
        told.lock().unwrap().clear();
        lifecycle.cleanup().await;
        lifecycle.cleanup().await;
        // That one stumbles keeps no other from tidying up.
        assert_eq!(told.lock().unwrap().join(" "), "-b -clumsy -a");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_failed_start_is_tidied_up_too() {
        let (lifecycle, told) = lifecycle(&["a", "broken", "c"]);
        let error = lifecycle.initialize().await.unwrap_err().to_string();
        assert_eq!(error, "the tool \"broken\" could not be made ready: no disk");
        assert_eq!(told.lock().unwrap().join(" "), "+a +broken -c -broken -a");
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn nobody_waits_forever() {
        let mut lifecycle = Lifecycle::default();
        lifecycle.begin(Arc::new(|| Box::pin(std::future::pending())));
        let error = lifecycle.initialize().await.unwrap_err().to_string();
        assert_eq!(error, "the server could not be made ready: it took longer than 60 s");
    }
}
