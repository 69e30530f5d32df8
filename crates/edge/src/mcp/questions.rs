//! Questions of another server that a modern client is to answer in its next round, and the names that questions have.

use atomic_waker::AtomicWaker;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};
use tokio::sync::oneshot;
use toolcrib_contract::{CallError, Json, Members, Question};

/// Where the name of a question stands in its `_meta`. The old era knows no names; a Toolcrib in front of this one does.
const NAME: &str = "dev.toolcrib/question";
/// The longest name of a question that is taken over.
const MAX_NAME: usize = 64;

/// The questions of one call that wait for an answer.
#[derive(Debug, Default)]
pub(super) struct Questions {
    state: Mutex<State>,
    asked: AtomicWaker,
}

#[derive(Debug, Default)]
struct State {
    /// How many were asked so far.
    count: u64,
    open: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    name: String,
    question: Question,
    answer: oneshot::Sender<Json>,
}

impl Questions {
    /// Asks, and waits for the round that brings the answer.
    pub(super) async fn ask(&self, question: Question) -> Result<Json, CallError> {
        let (answer, answered) = oneshot::channel();
        self.lock().open(question, answer);
        self.asked.wake();
        answered.await.map_err(|_| CallError::failed("the client did not come back with an answer"))
    }

    /// Waits until there are questions, and gives them by name.
    pub(super) fn poll_open(&self, cx: &mut Context<'_>) -> Poll<Vec<(String, Question)>> {
        self.asked.register(cx.waker());
        let mut state = self.lock();
        // Whoever asked may have given up in the meantime.
        state.open.retain(|open| !open.answer.is_closed());
        if state.open.is_empty() {
            return Poll::Pending;
        }
        Poll::Ready(state.open.iter().map(|open| (open.name.clone(), open.question.clone())).collect())
    }

    /// Hands answers to whoever asked. A question that is left out stays open.
    pub(super) fn answer(&self, responses: Option<&Members>) {
        let mut state = self.lock();
        for open in std::mem::take(&mut state.open) {
            match responses.and_then(|responses| responses.get(&open.name)) {
                Some(response) => drop(open.answer.send(response)),
                None => state.open.push(open),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Opens a question under the name that it brings along, if that is free, or else under a number.
    fn open(&mut self, question: Question, answer: oneshot::Sender<Json>) {
        let is_free = |name: &String| name.len() <= MAX_NAME && self.open.iter().all(|open| open.name != *name);
        let numbered = || (self.count + 1..).map(|number| format!("question-{number}")).find(is_free).unwrap_or_default();
        let name = name_of(&question).filter(is_free).unwrap_or_else(numbered);
        self.count += 1;
        self.open.push(Open { name, question, answer });
    }
}

/// The question with its name in it.
pub(super) fn with_name(question: Question, name: &str) -> Question {
    let named = |params: &Json| {
        let Ok(params) = params.members() else { return params.clone() };
        let meta = params.get("_meta").and_then(|meta| meta.members().ok());
        let meta = meta.unwrap_or_else(|| Json::empty_object().members().expect("this is an object"));
        params.edit(&[("_meta", Some(meta.edit(&[(NAME, Some(Json::string(name)))])))])
    };
    match question {
        Question::Elicit(params) => Question::Elicit(named(&params)),
        Question::Sample(params) => Question::Sample(named(&params)),
        Question::Roots(params) => Question::Roots(Some(named(&params.unwrap_or_else(Json::empty_object)))),
    }
}

fn name_of(question: &Question) -> Option<String> {
    let params = match question {
        Question::Elicit(params) | Question::Sample(params) | Question::Roots(Some(params)) => params,
        Question::Roots(None) => return None,
    };
    params.members().ok()?.get("_meta")?.members().ok()?.string(NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_open_question_has_a_name_of_its_own() {
        let question = || Question::Elicit(Json::empty_object());
        let mut state = State::default();
        let mut waiting = Vec::new();
        for question in
            [question(), with_name(question(), "who"), with_name(question(), "who"), with_name(question(), "question-5"), question()]
        {
            let (answer, answered) = oneshot::channel();
            state.open(question, answer);
            waiting.push(answered);
        }
        let names: Vec<&str> = state.open.iter().map(|open| open.name.as_str()).collect();
        assert_eq!(names, ["question-1", "who", "question-3", "question-5", "question-6"]);
    }
}
