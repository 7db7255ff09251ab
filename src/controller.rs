//! The controller process: watch, observe, plan, apply, status.
