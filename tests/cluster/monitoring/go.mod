// Definitions of the Prometheus Operator, for tests of objects that are made for it. Nothing of it is built.
module serin.test/cluster/monitoring

go 1.26.0

require github.com/prometheus-operator/prometheus-operator v0.85.0
