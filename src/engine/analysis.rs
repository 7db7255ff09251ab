//! Judging an AnalysisRun: scheduling, counting and verdicts over stored measurements.
