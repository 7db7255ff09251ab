// Gotypes is run by hand. It asks the Go types of the Kubernetes API for what Serin has to reproduce:
//
//	gotypes fields             the field table of PodTemplateSpec (src/engine/identity/pod_template.fields)
//	gotypes hashes  < lines    one pod template in JSON a line -> {"template":…,"hash":…,"collision":…} a line
//	gotypes quantities < lines one quantity a line -> "<in>\t<canonical form>", or "<in>\t!" when it does not parse
//	gotypes templates          pod templates to hash, always the same
//	gotypes spellings          quantities to parse, always the same
//
// The files that Serin commits come from, in this folder:
//
//	go run . fields > ../../../src/engine/identity/pod_template.fields
//	go run . templates | go run . hashes > ../../golden/template_hashes.jsonl
//	go run . spellings | sort -u | go run . quantities > ../../golden/quantities.tsv
//
// The form of 1.8 (pod_template_1_8.fields, template_hashes_1_8.txt) comes from the same program with k8s.io/api and
// k8s.io/apimachinery v0.29.3 in go.mod; of its hashes only the column "hash" is kept, one a line.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/rand"
	kjson "sigs.k8s.io/json"
)

func main() {
	if len(os.Args) != 2 {
		fail(fmt.Errorf("usage: gotypes fields|hashes|quantities|templates|spellings"))
	}
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	switch os.Args[1] {
	case "fields":
		writeFields(out)
	case "hashes":
		eachLine(func(line []byte) { hashLine(out, line) })
	case "quantities":
		eachLine(func(line []byte) {
			if q, err := resource.ParseQuantity(string(line)); err != nil {
				fmt.Fprintf(out, "%s\t!\n", line)
			} else {
				fmt.Fprintf(out, "%s\t%s\n", line, q.String())
			}
		})
	case "templates":
		writeTemplates(out, 170)
	case "spellings":
		writeQuantities(out, 900)
	default:
		fail(fmt.Errorf("unknown mode %q", os.Args[1]))
	}
}

// hashLine hashes a template the way the contract's controllers do: the API server keeps a custom resource as
// generic JSON and prints that; the controller decodes it into the types, once more through JSON, and hashes.
func hashLine(out *bufio.Writer, line []byte) {
	var generic any
	check(kjson.UnmarshalCaseSensitivePreserveInts(line, &generic))
	served, err := json.Marshal(generic)
	check(err)
	var first, second corev1.PodTemplateSpec
	check(kjson.UnmarshalCaseSensitivePreserveInts(served, &first))
	again, err := json.Marshal(&first)
	check(err)
	check(kjson.UnmarshalCaseSensitivePreserveInts(again, &second))
	typed, err := json.Marshal(&second)
	check(err)
	one := int32(1)
	row, err := json.Marshal(map[string]any{
		"template":  json.RawMessage(line),
		"hash":      templateHash(typed, nil),
		"collision": templateHash(typed, &one),
	})
	check(err)
	fmt.Fprintf(out, "%s\n", row)
}

func templateHash(typed []byte, collisions *int32) string {
	hasher := fnv.New32a()
	hasher.Write(typed)
	if collisions != nil {
		count := make([]byte, 8)
		binary.LittleEndian.PutUint32(count, uint32(*collisions))
		hasher.Write(count)
	}
	return rand.SafeEncodeString(fmt.Sprint(hasher.Sum32()))
}

func eachLine(use func([]byte)) {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		use(lines.Bytes())
	}
	check(lines.Err())
}

func check(err error) {
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "gotypes:", err)
	os.Exit(1)
}
