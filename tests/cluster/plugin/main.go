// The commands of `kubectl argo rollouts` as one program, made of the plugin's own packages: with it the tests drive
// Rollouts as users do. Left out is what asks no cluster (lint, completion, version), and dashboard and notifications,
// which are programs of their own.
package main

import (
	"os"

	"github.com/argoproj/argo-rollouts/pkg/kubectl-argo-rollouts/cmd/abort"
	"github.com/argoproj/argo-rollouts/pkg/kubectl-argo-rollouts/cmd/create"
	"github.com/argoproj/argo-rollouts/pkg/kubectl-argo-rollouts/cmd/get"
	"github.com/argoproj/argo-rollouts/pkg/kubectl-argo-rollouts/cmd/list"
	"github.com/argoproj/argo-rollouts/pkg/kubectl-argo-rollouts/cmd/pause"
	"github.com/argoproj/argo-rollouts/pkg/kubectl-argo-rollouts/cmd/promote"
	"github.com/argoproj/argo-rollouts/pkg/kubectl-argo-rollouts/cmd/restart"
	"github.com/argoproj/argo-rollouts/pkg/kubectl-argo-rollouts/cmd/retry"
	"github.com/argoproj/argo-rollouts/pkg/kubectl-argo-rollouts/cmd/set"
	"github.com/argoproj/argo-rollouts/pkg/kubectl-argo-rollouts/cmd/status"
	"github.com/argoproj/argo-rollouts/pkg/kubectl-argo-rollouts/cmd/terminate"
	"github.com/argoproj/argo-rollouts/pkg/kubectl-argo-rollouts/cmd/undo"
	"github.com/argoproj/argo-rollouts/pkg/kubectl-argo-rollouts/options"
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
)

func main() {
	streams := genericclioptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	o := options.NewArgoRolloutsOptions(streams)
	root := &cobra.Command{
		Use:               "kubectl-argo-rollouts",
		SilenceUsage:      true,
		PersistentPreRunE: o.PersistentPreRunE,
	}
	o.AddKubectlFlags(root)
	for _, command := range []func(*options.ArgoRolloutsOptions) *cobra.Command{
		abort.NewCmdAbort, create.NewCmdCreate, get.NewCmdGet, list.NewCmdList, pause.NewCmdPause,
		promote.NewCmdPromote, restart.NewCmdRestart, retry.NewCmdRetry, set.NewCmdSet, status.NewCmdStatus,
		terminate.NewCmdTerminate, undo.NewCmdUndo,
	} {
		root.AddCommand(command(o))
	}
	if root.Execute() != nil {
		os.Exit(1)
	}
}
