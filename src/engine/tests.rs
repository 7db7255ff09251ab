mod bugs;
mod limits;
mod ownership;
mod story;
mod support;
mod takeover;
mod workload;
