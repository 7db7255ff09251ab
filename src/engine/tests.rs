mod support;
mod takeover;
