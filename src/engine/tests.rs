mod bugs;
mod support;
mod takeover;
