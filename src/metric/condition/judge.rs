//! One measurement against the two conditions of a metric.

use jiff::Timestamp;

use super::{Condition, Value};

/// How many characters of a result stand in a message.
const SHOWN: usize = 200;

/// What one measurement says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The condition for success holds, or there is none and that for failure does not.
    Successful,
    /// The condition for failure holds, or there is none and that for success does not.
    Failed,
    /// There are both conditions and neither holds.
    Inconclusive,
    /// A condition could not be evaluated: the measurement says nothing about the release.
    Error,
}

/// A verdict and, for an error, the sentence that explains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict.
    pub phase: Verdict,
    /// Why there is no better verdict; only with [`Verdict::Error`].
    pub message: Option<String>,
}

/// Judges one measurement (wire contract 2.11).
///
/// | success | failure | verdict |
/// |---|---|---|
/// | – | – | Successful |
/// | holds or not | – | Successful or Failed |
/// | – | holds or not | Failed or Successful |
/// | any | holds | Failed |
/// | holds | does not | Successful |
/// | does not | does not | Inconclusive |
///
/// Both conditions are evaluated always: one that cannot be makes the measurement an error, whatever the other says.
/// The message then quotes the condition, says where it fails and shows the first 200 characters of the result; where
/// the result is nil or empty it says that first.
#[must_use]
pub fn judge(
    success: Option<&Condition>,
    failure: Option<&Condition>,
    result: &Value,
    now: Timestamp,
) -> Judgement {
    let outcome = evaluate("successCondition", success, result, now)
        .and_then(|success| Ok((success, evaluate("failureCondition", failure, result, now)?)));
    let phase = match outcome {
        Err(message) => {
            return Judgement {
                phase: Verdict::Error,
                message: Some(message),
            };
        }
        Ok((_, Some(true)) | (Some(false), None)) => Verdict::Failed,
        Ok((Some(true) | None, _)) => Verdict::Successful,
        Ok((Some(false), Some(false))) => Verdict::Inconclusive,
    };
    Judgement { phase, message: None }
}

fn evaluate(
    field: &str,
    condition: Option<&Condition>,
    result: &Value,
    now: Timestamp,
) -> Result<Option<bool>, String> {
    let Some(condition) = condition else {
        return Ok(None);
    };
    condition.evaluate(result, now).map(Some).map_err(|error| {
        let quoted = condition.source();
        match result {
            Value::Nil => {
                format!("could not evaluate {field} \"{quoted}\": the metric returned no result (nil); {error}")
            }
            empty if empty.is_empty() => format!(
                "could not evaluate {field} \"{quoted}\": the metric returned an empty result ({empty}); {error}"
            ),
            other => format!(
                "could not evaluate {field} \"{quoted}\": {error}; the result was {}",
                other.shortened(SHOWN)
            ),
        }
    })
}
