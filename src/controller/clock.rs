//! The only place that reads the clock. Everything else is given the time as a value.

use jiff::Timestamp;

/// The present moment.
#[expect(clippy::disallowed_methods, reason = "this is the one injected clock")]
pub fn now() -> Timestamp {
    Timestamp::now()
}
