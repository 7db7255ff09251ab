//! The condition language (expr): pure; parse, check and evaluate.
