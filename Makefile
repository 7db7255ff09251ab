.DEFAULT_GOAL := help
.PHONY: help demo demo-down bench-analysis

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## A good and a bad release on a real cluster (KEEP=1 keeps it; KUBECONFIG=... uses yours)
	@examples/demo/run.sh

demo-down: ## Take away what `make demo KEEP=1` left
	@examples/demo/run.sh down

bench-analysis: ## Punctuality and memory of 500 AnalysisRuns while a provider hangs (BENCH_SECONDS=600 BENCH_RUNS=500)
	@cargo bench --features cluster-tests --bench analysis
