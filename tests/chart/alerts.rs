//! The alerts and the dashboards: syntax, what fires when, and that they speak of metrics which there are.
