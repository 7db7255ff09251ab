mod bugs;
mod ownership;
mod story;
mod support;
mod takeover;
mod workload;
