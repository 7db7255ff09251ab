mod args;
mod assess;
mod cases;
mod merge;
mod plan;
mod properties;
mod rule;
mod schedule;
