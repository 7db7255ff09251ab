mod bugs;
mod ownership;
mod support;
mod takeover;
mod workload;
