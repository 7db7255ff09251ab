//! A model cluster with a virtual clock that runs plans.
