//! What a status tells of the course of an update (`status.duration`).

use serin::sim::Step;

/// The record is open exactly as long as the update is, and what has ended has a word for it and waits for nobody.
pub fn of_update(step: &Step<'_>) -> Result<(), String> {
    let Step::Committed { after, .. } = step else {
        return Ok(());
    };
    let (stable, current) = (after.stable_rs.as_ref(), after.current_pod_hash.as_ref());
    if current.is_none() {
        return Ok(());
    }
    let Some(record) = &after.duration else {
        return Err("an update without a record".to_owned());
    };
    let ended = record.finished_at.is_some();
    let is_over = stable == current || after.aborted_at.is_some();
    if ended != is_over {
        return Err(format!(
            "the update is over: {is_over}; its record has ended: {ended}"
        ));
    }
    if ended != record.completion_status.is_some() || (ended && record.manual_pause_started_at.is_some()) {
        return Err(format!("{record:?}"));
    }
    Ok(())
}
