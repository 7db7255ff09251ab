.DEFAULT_GOAL := help
.PHONY: help demo demo-down bench test-node

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## A good and a bad release on a real cluster (KEEP=1 keeps it; KUBECONFIG=... uses yours)
	@examples/demo/run.sh

demo-down: ## Take away what `make demo KEEP=1` left
	@examples/demo/run.sh down

bench: ## API calls, CPU and memory of a canary, alone and 200 at once
	@tests/bench/run.sh

test-node: ## Releases under real requests on a real node (root)
	@tests/node/run.sh
