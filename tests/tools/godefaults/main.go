// Godefaults is run by hand: one pod template in JSON a line on standard input, the same template as the API server
// would keep it in a ReplicaSet on standard output, by the defaulting functions of Kubernetes itself.
//
//	(cd ../gotypes && go run . templates) | go run . > ../../golden/template_defaults.jsonl
//
// A program of its own, since it needs Kubernetes itself, which is large.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/apis/apps"
	appsconv "k8s.io/kubernetes/pkg/apis/apps/v1"

	"k8s.io/apimachinery/pkg/runtime"
	kjson "sigs.k8s.io/json"
)

func main() {
	scheme := runtime.NewScheme()
	check(appsconv.AddToScheme(scheme))
	check(apps.AddToScheme(scheme))
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var template corev1.PodTemplateSpec
		check(kjson.UnmarshalCaseSensitivePreserveInts(lines.Bytes(), &template))
		given := &appsv1.ReplicaSet{Spec: appsv1.ReplicaSetSpec{Template: template}}
		scheme.Default(given)
		// There and back through the internal type, as on the way into storage and out of it.
		var internal apps.ReplicaSet
		check(scheme.Convert(given, &internal, nil))
		var kept appsv1.ReplicaSet
		check(scheme.Convert(&internal, &kept, nil))
		row, err := json.Marshal(kept.Spec.Template)
		check(err)
		fmt.Printf("%s\n", row)
	}
	check(lines.Err())
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "godefaults:", err)
		os.Exit(1)
	}
}
