.DEFAULT_GOAL := help
.PHONY: soak help demo demo-down test fmt lint unit controlplane node bench bench-analysis crds manifests image

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## A good and a bad release on a real cluster (KEEP=1 keeps it; KUBECONFIG=... uses yours)
	@examples/demo/run.sh

demo-down: ## Take away what `make demo KEEP=1` left
	@examples/demo/run.sh down

test: ## Everything below, in this order
	@tests/run.sh

fmt: ## Formatting
	@tests/run.sh fmt

lint: ## Clippy, go vet, the syntax of the scripts
	@tests/run.sh lint

unit: ## Rings 1 and 2: no cluster
	@tests/run.sh unit

controlplane: ## Ring 3: a real control plane with faked pods
	@tests/run.sh controlplane

node: ## Ring 4: the demo and all else that needs real pods (root)
	@tests/run.sh node

bench: ## What a canary costs, alone and 200 at once: calls, CPU, memory, time
	@tests/bench/run.sh

soak: ## A day of rollouts in ten minutes: the memory at its end (SERIN_SOAK_SECONDS=600)
	@cargo test --locked --features cluster-tests --test soak -- --nocapture

crds: ## Write crds/, and those of the chart, anew from the types
	@UPDATE=1 cargo test --locked --quiet --test crds

manifests: ## Write deploy/ anew from the chart
	@deploy/generate.sh

image: ## The container image as serin.tar, without a container engine (FILE=... NAME=...)
	@deploy/image.sh $(or $(FILE),serin.tar) $(NAME)

bench-analysis: ## Punctuality and memory of 500 AnalysisRuns while a provider hangs (BENCH_SECONDS=600 BENCH_RUNS=500)
	@cargo bench --features cluster-tests --bench analysis
