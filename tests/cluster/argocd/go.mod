// Argo CD's own checks and actions for Rollouts and AnalysisRuns: its scripts, from its module, which is wanted for nothing
// else, run by the interpreter, the conversion and the comparison that it runs them with, in the versions that it has.
module serin.test/cluster/argocd

go 1.26.3

require (
	github.com/argoproj/argo-cd/v3 v3.5.7
	github.com/evanphx/json-patch v5.9.11+incompatible
	github.com/yuin/gopher-lua v1.1.2
	layeh.com/gopher-json v0.0.0-20190114024228-97fed8db8427
)
