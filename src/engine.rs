//! What to do, decided purely: `plan(&Observed, now) -> Plan`. No client, no clock, no async, no log.

pub mod analysis;
pub mod duration;
pub mod identity;
