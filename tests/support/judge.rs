//! An analysis whose verdict the test chooses while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};

use super::{http, web_template};

/// What is answered from now on.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    Bad = 0,
    Good = 1,
    /// Neither condition holds: Inconclusive.
    Neither = 2,
}

/// A server that answers every measurement.
#[derive(Clone)]
pub struct Judge {
    answer: Arc<AtomicI64>,
    /// Where it is: `http://127.0.0.1:PORT/`.
    pub url: String,
}

impl Judge {
    /// One that says this at first.
    pub async fn new(answer: Answer) -> Judge {
        let given = Arc::new(AtomicI64::new(answer as i64));
        let said = Arc::clone(&given);
        let server =
            http::serve(move |_| Some((200, json!({"ok": said.load(Ordering::Relaxed)}).to_string()))).await;
        Judge {
            answer: given,
            url: format!("http://{server}/"),
        }
    }

    /// From now on it says this.
    pub fn says(&self, answer: Answer) {
        self.answer.store(answer as i64, Ordering::Relaxed);
    }

    /// A template with one metric `answer`, which asks it so many times, once a second; for ever with none.
    pub fn template(&self, name: &str, count: Option<u32>) -> Value {
        let mut template = web_template(name, &self.url, count.unwrap_or_default());
        let metric = &mut template["spec"]["metrics"][0];
        if count.is_none() {
            metric["count"].take();
        }
        metric["successCondition"] = json!("result.ok == 1");
        metric["failureCondition"] = json!("result.ok == 0");
        template
    }
}
